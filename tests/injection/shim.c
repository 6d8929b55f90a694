/* Makes system calls fail on demand.

   Loaded with LD_PRELOAD, it stands before the functions of libc by which CPython and the engines reach the system. A
   program finds the shim_* functions in itself (`shim.py`) and says which call is to fail, when, and how; until then
   everything passes. A call that fails was not made, with two exceptions where that would be a lie: `close` and
   EPOLL_CTL_DEL are made, and then said to have failed. SHORT, instead of an error's number, has a transfer carry one
   byte only. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define CALLS(EACH) \
    EACH(socket) EACH(socketpair) EACH(bind) EACH(listen) EACH(accept4) EACH(connect) EACH(getsockname) \
    EACH(getpeername) EACH(getsockopt) EACH(setsockopt) EACH(ioctl) EACH(recv) EACH(send) EACH(sendmsg) \
    EACH(shutdown) EACH(close) EACH(epoll_create1) EACH(epoll_ctl_add) EACH(epoll_ctl_mod) EACH(epoll_ctl_del) \
    EACH(recvmsg) EACH(dup3) EACH(epoll_wait) EACH(eventfd) EACH(timerfd_create) EACH(timerfd_settime) EACH(read) EACH(write) EACH(open) \
    EACH(poll) EACH(fork) EACH(kill) EACH(waitpid) EACH(pipe2)

#define NUMBER(name) CALL_##name,
#define NAME(name) #name,

enum { CALLS(NUMBER) NUMBER_OF_CALLS };
enum { PASS = 0, SHORT = -1, LONGEST_MENU = 32 };

static const char *const names[] = {CALLS(NAME)};

static struct {
    int call;
    long skip, times;
    int verdict;
} plan = {-1, 0, 0, PASS};

static uint32_t per_million;
static uint64_t chance;
static int menus[NUMBER_OF_CALLS][LONGEST_MENU], menu_lengths[NUMBER_OF_CALLS];
static long made[NUMBER_OF_CALLS], failed[NUMBER_OF_CALLS];

/* ---- what a program says */

int shim_find(const char *name)
{
    for (int call = 0; call < NUMBER_OF_CALLS; call++)
        if (strcmp(names[call], name) == 0)
            return call;
    return -1;
}

/* From now on: `skip` of these calls pass, the next `times` of them get the verdict. */
void shim_arm(int call, long skip, long times, int verdict)
{
    memset(made, 0, sizeof(made));
    memset(failed, 0, sizeof(failed));
    plan.skip = skip;
    plan.times = times;
    plan.verdict = verdict;
    plan.call = call;
}

/* One more way in which a call may fail by chance. */
int shim_offer(int call, int verdict)
{
    if (menu_lengths[call] == LONGEST_MENU)
        return -1;
    menus[call][menu_lengths[call]++] = verdict;
    return 0;
}

/* From now on every call that has a menu fails with this probability, the same ones for the same seed and calls. */
void shim_chance(uint64_t seed, uint32_t probability_per_million)
{
    memset(made, 0, sizeof(made));
    memset(failed, 0, sizeof(failed));
    chance = seed * 2 + 1;
    per_million = probability_per_million;
}

void shim_off(void)
{
    plan.call = -1;
    per_million = 0;
}

long shim_made(int call) { return made[call]; }
long shim_failed(int call) { return failed[call]; }

/* ---- what becomes of a call */

static uint32_t draw(void)
{
    chance = chance * 6364136223846793005u + 1442695040888963407u;
    return chance >> 33;
}

static int verdict_on(int call)
{
    int verdict = PASS;
    long before = made[call]++;
    if (plan.call == call && before >= plan.skip && before < plan.skip + plan.times)
        verdict = plan.verdict;
    else if (per_million && menu_lengths[call] && draw() % 1000000 < per_million)
        verdict = menus[call][draw() % menu_lengths[call]];
    if (verdict != PASS)
        failed[call]++;
    return verdict;
}

static int failing(int error)
{
    errno = error;
    return -1;
}

#define NEXT(name) \
    static typeof(&name) next; \
    if (!next) \
        *(void **)&next = dlsym(RTLD_NEXT, #name)

#define WRAP_AS(call, type, name, parameters, arguments) \
    type name parameters \
    { \
        int verdict = verdict_on(CALL_##call); \
        NEXT(name); \
        return verdict > 0 ? failing(verdict) : next arguments; \
    }

#define WRAP(name, parameters, arguments) WRAP_AS(name, int, name, parameters, arguments)

#define WRAP_TRANSFER(name, parameters, whole, shortened) \
    ssize_t name parameters \
    { \
        int verdict = verdict_on(CALL_##name); \
        NEXT(name); \
        return verdict > 0 ? failing(verdict) : verdict == SHORT ? next shortened : next whole; \
    }

WRAP(socket, (int domain, int type, int protocol), (domain, type, protocol))
WRAP(socketpair, (int domain, int type, int protocol, int ends[2]), (domain, type, protocol, ends))
WRAP(bind, (int fd, __CONST_SOCKADDR_ARG address, socklen_t length), (fd, address, length))
WRAP(listen, (int fd, int backlog), (fd, backlog))
WRAP(accept4, (int fd, __SOCKADDR_ARG address, socklen_t *length, int flags), (fd, address, length, flags))
WRAP(connect, (int fd, __CONST_SOCKADDR_ARG address, socklen_t length), (fd, address, length))
WRAP(getsockname, (int fd, __SOCKADDR_ARG address, socklen_t *length), (fd, address, length))
WRAP(getpeername, (int fd, __SOCKADDR_ARG address, socklen_t *length), (fd, address, length))
WRAP(getsockopt, (int fd, int level, int name, void *value, socklen_t *length), (fd, level, name, value, length))
WRAP(setsockopt, (int fd, int level, int name, const void *value, socklen_t length), (fd, level, name, value, length))
/* For the program's own use, so that it can set up what it needs without being hit. */
int shim_set_option(int fd, int name, int value)
{
    NEXT(setsockopt);
    return next(fd, SOL_SOCKET, name, &value, sizeof(value));
}

WRAP(shutdown, (int fd, int how), (fd, how))
WRAP_AS(recvmsg, ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags))
WRAP(dup3, (int fd, int number, int flags), (fd, number, flags))
WRAP(epoll_create1, (int flags), (flags))
WRAP(epoll_wait, (int fd, struct epoll_event *events, int capacity, int timeout), (fd, events, capacity, timeout))
WRAP(eventfd, (unsigned int value, int flags), (value, flags))
WRAP(timerfd_create, (clockid_t clock, int flags), (clock, flags))
WRAP(timerfd_settime, (int fd, int flags, const struct itimerspec *value, struct itimerspec *previous),
     (fd, flags, value, previous))

WRAP(poll, (struct pollfd *each, nfds_t count, int timeout), (each, count, timeout))
WRAP_AS(fork, pid_t, fork, (void), ())
WRAP(kill, (pid_t pid, int number), (pid, number))
WRAP_AS(waitpid, pid_t, waitpid, (pid_t pid, int *status, int options), (pid, status, options))
WRAP(pipe2, (int ends[2], int flags), (ends, flags))

WRAP_AS(read, ssize_t, read, (int fd, void *buffer, size_t length), (fd, buffer, length))
WRAP_AS(read, int, eventfd_read, (int fd, eventfd_t *value), (fd, value))
WRAP_AS(write, ssize_t, write, (int fd, const void *buffer, size_t length), (fd, buffer, length))
WRAP_AS(write, int, eventfd_write, (int fd, eventfd_t value), (fd, value))

WRAP_TRANSFER(recv, (int fd, void *buffer, size_t length, int flags), (fd, buffer, length, flags),
              (fd, buffer, length ? 1 : 0, flags))
WRAP_TRANSFER(send, (int fd, const void *buffer, size_t length, int flags), (fd, buffer, length, flags),
              (fd, buffer, length ? 1 : 0, flags))

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    int verdict = verdict_on(CALL_sendmsg);
    struct msghdr shortened = *message;
    struct iovec first;
    NEXT(sendmsg);
    if (verdict > 0)
        return failing(verdict);
    if (verdict == SHORT && message->msg_iovlen) {
        first = message->msg_iov[0];
        first.iov_len = first.iov_len ? 1 : 0;
        shortened.msg_iov = &first;
        shortened.msg_iovlen = 1;
        return next(fd, &shortened, flags);
    }
    return next(fd, message, flags);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    int call = operation == EPOLL_CTL_ADD ? CALL_epoll_ctl_add
             : operation == EPOLL_CTL_MOD ? CALL_epoll_ctl_mod
                                          : CALL_epoll_ctl_del;
    int verdict = verdict_on(call);
    NEXT(epoll_ctl);
    if (verdict > 0) {
        if (operation == EPOLL_CTL_DEL)
            next(epoll, operation, fd, event);
        return failing(verdict);
    }
    return next(epoll, operation, fd, event);
}

int close(int fd)
{
    int verdict = verdict_on(CALL_close);
    int result;
    NEXT(close);
    result = next(fd);
    return verdict > 0 ? failing(verdict) : result;
}

int ioctl(int fd, unsigned long request, ...)
{
    int verdict = verdict_on(CALL_ioctl);
    va_list rest;
    void *argument;
    NEXT(ioctl);
    va_start(rest, request);
    argument = va_arg(rest, void *);
    va_end(rest);
    return verdict > 0 ? failing(verdict) : next(fd, request, argument);
}

static int opening(typeof(&open) next, const char *path, int flags, mode_t mode)
{
    int verdict = verdict_on(CALL_open);
    return verdict > 0 ? failing(verdict) : next(path, flags, mode);
}

#define WRAP_OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        va_list rest; \
        mode_t mode; \
        NEXT(name); \
        va_start(rest, flags); \
        mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; \
        va_end(rest); \
        return opening(next, path, flags, mode); \
    }

WRAP_OPEN(open)
WRAP_OPEN(open64)

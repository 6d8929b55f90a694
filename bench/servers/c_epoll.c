/*
 * The reference: what a TCP server costs in plain C with level-triggered epoll.
 *
 *   c_epoll accept | reply | echo | discard | chargen
 *
 * prints "PORT n" and serves until SIGTERM. It makes no system call that could be spared: addresses come from accept4,
 * TCP_NODELAY is inherited from the listener, a socket that is closed at once never meets epoll, a short request is looked
 * for at once, for the client speaks first, a short read ends a turn, send is tried at once and EPOLLOUT armed only for
 * what is left.
 *
 * Compiled with -DCALLBACK it is a module for Python, c_callback, with serve(role, function): the same server, which lets
 * other threads run while it waits, and calls the function for each connection and for whatever is read or to be sent.
 * The function gets None and its result is dropped. So what it costs more is what no server with callbacks in Python
 * can spare.
 */
#define _GNU_SOURCE 1
#ifdef CALLBACK
#include <Python.h>
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 4096
#define ACCEPT_BATCH 64
#define READ_SIZE 65536
#define EVENTS 256
#define MAXIMUM_FILES 65536
#define SOURCE_TURN 16 /* sends in a row before the other connections have their turn */

struct rest {
    size_t at, size;
    char bytes[];
};

static int poller, listener;
static char buffer[READ_SIZE];
static struct rest *rests[MAXIMUM_FILES]; /* output that the system would not take yet, by descriptor */

#ifdef CALLBACK

static PyObject *function;

static void call_program(void)
{
    PyObject *result = PyObject_CallOneArg(function, Py_None);
    if (!result) {
        PyErr_Print();
        exit(1);
    }
    Py_DECREF(result);
}

static int wait_for(struct epoll_event *events)
{
    int count;
    Py_BEGIN_ALLOW_THREADS
    count = epoll_wait(poller, events, EVENTS, -1);
    Py_END_ALLOW_THREADS
    if (PyErr_CheckSignals())
        exit(1);
    return count;
}

#else

static void call_program(void) {}

static int wait_for(struct epoll_event *events)
{
    return epoll_wait(poller, events, EVENTS, -1);
}

#endif

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void watch(int operation, int fd, uint32_t interest)
{
    struct epoll_event event = {interest, {.fd = fd}};
    if (epoll_ctl(poller, operation, fd, &event))
        die("epoll_ctl");
}

static void drop(int fd)
{
    free(rests[fd]);
    rests[fd] = NULL;
    close(fd);
}

static void keep(int fd, const char *bytes, size_t size)
{
    struct rest *rest = malloc(sizeof *rest + size);
    if (!rest)
        die("malloc");
    rest->at = 0;
    rest->size = size;
    memcpy(rest->bytes, bytes, size);
    rests[fd] = rest;
    watch(EPOLL_CTL_MOD, fd, EPOLLOUT);
}

static void finish_rest(int fd)
{
    struct rest *rest = rests[fd];
    ssize_t sent = send(fd, rest->bytes + rest->at, rest->size - rest->at, MSG_NOSIGNAL);
    if (sent < 0) {
        if (errno != EAGAIN)
            drop(fd);
    } else if ((rest->at += sent) == rest->size) {
        free(rest);
        rests[fd] = NULL;
        watch(EPOLL_CTL_MOD, fd, EPOLLIN);
    }
}

static void echo(int fd)
{
    if (rests[fd])
        return finish_rest(fd);
    ssize_t size = recv(fd, buffer, sizeof buffer, 0);
    if (size <= 0) {
        if (size == 0 || errno != EAGAIN)
            drop(fd);
        return;
    }
    call_program();
    ssize_t sent = send(fd, buffer, size, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN)
        drop(fd);
    else if (sent < size)
        keep(fd, buffer + (sent < 0 ? 0 : sent), size - (sent < 0 ? 0 : sent));
}

/* The reply to a short request fits every send buffer. Returns 1 if there was a request. */
static int answer(int fd)
{
    ssize_t size = recv(fd, buffer, sizeof buffer, 0);
    if (size < 0 && errno == EAGAIN)
        return 0;
    if (size > 0) {
        call_program();
        send(fd, buffer, size, MSG_NOSIGNAL);
    }
    drop(fd);
    return 1;
}

static void reply(int fd)
{
    answer(fd);
}

static void discard(int fd)
{
    ssize_t size = recv(fd, buffer, sizeof buffer, 0);
    if (size > 0)
        call_program();
    else if (size == 0 || errno != EAGAIN)
        drop(fd);
}

static void chargen(int fd)
{
    call_program();
    for (int turn = 0; turn < SOURCE_TURN; turn++) {
        ssize_t sent = send(fd, buffer, sizeof buffer, MSG_NOSIGNAL);
        if (sent < 0 && errno != EAGAIN)
            return drop(fd);
        if (sent < (ssize_t)sizeof buffer)
            return;
    }
}

static const struct role {
    const char *name;
    void (*serve)(int fd);
    uint32_t interest;
    int (*at_once)(int fd); /* tried when a connection is accepted; returns 1 if that was all */
} roles[] = {
    {"accept", NULL, 0, NULL},
    {"reply", reply, EPOLLIN, answer},
    {"echo", echo, EPOLLIN, NULL},
    {"discard", discard, EPOLLIN, NULL},
    {"chargen", chargen, EPOLLOUT, NULL},
};

static void accept_batch(const struct role *role)
{
    for (int count = 0; count < ACCEPT_BATCH; count++) {
        struct sockaddr_storage peer;
        socklen_t size = sizeof peer;
        int fd = accept4(listener, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EAGAIN)
                return;
            if (errno != ECONNABORTED && errno != EINTR)
                die("accept4");
            continue;
        }
        call_program();
        if (!role->serve || fd >= MAXIMUM_FILES)
            close(fd);
        else if (!role->at_once || !role->at_once(fd))
            watch(EPOLL_CTL_ADD, fd, role->interest);
    }
}

static const struct role *role_named(const char *name)
{
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
        if (!strcmp(name, roles[i].name))
            return &roles[i];
    return NULL;
}

static void serve(const struct role *role)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int on = 1;

    memset(buffer, 'x', sizeof buffer);
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(listener, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, size) || listen(listener, BACKLOG) ||
        getsockname(listener, (struct sockaddr *)&address, &size))
        die("listen");
    poller = epoll_create1(EPOLL_CLOEXEC);
    watch(EPOLL_CTL_ADD, listener, EPOLLIN);
    printf("PORT %d\n", ntohs(address.sin_port));
    fflush(stdout);

    for (;;) {
        static struct epoll_event events[EVENTS];
        int count = wait_for(events);
        if (count < 0 && errno != EINTR)
            die("epoll_wait");
        for (int i = 0; i < count; i++)
            if (events[i].data.fd == listener)
                accept_batch(role);
            else
                role->serve(events[i].data.fd);
    }
}

#ifdef CALLBACK

static PyObject *serve_role(PyObject *module, PyObject *arguments)
{
    const char *name;
    const struct role *role;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "sO", &name, &function))
        return NULL;
    if (!(role = role_named(name)))
        return PyErr_Format(PyExc_ValueError, "no role: %s", name);
    serve(role);
    Py_RETURN_NONE;
}

static PyMethodDef methods[] = {{"serve", serve_role, METH_VARARGS, NULL}, {NULL, NULL, 0, NULL}};
static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "c_callback", .m_methods = methods};

PyMODINIT_FUNC PyInit_c_callback(void)
{
    return PyModule_Create(&definition);
}

#else

int main(int argc, char **argv)
{
    const struct role *role = argc == 2 ? role_named(argv[1]) : NULL;
    if (!role) {
        fputs("usage: c_epoll accept | reply | echo | discard | chargen\n", stderr);
        return 2;
    }
    serve(role);
}

#endif

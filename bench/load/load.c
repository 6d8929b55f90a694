/*
 * The load generator: one thread, epoll, edge-triggered.
 *
 *   load HOST PORT SCENARIO [options]
 *
 * prints one JSON line. Every run is bounded in operations and in time. What a scenario is stands in README.md.
 *
 * A run is a sequence of phases (priming, warm-up, measuring). Each phase issues its operations and then waits for the
 * last answer, so the server is at rest whenever its CPU time is read and nothing of one phase is charged to another.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "gauge.h"

#define MEBIBYTE (UINT64_C(1) << 20)
#define PERIOD 65521 /* bytes until the pattern repeats: a prime, so that it is in step with no buffer size */
#define SOURCES 64   /* addresses that connections come from */
#define OPENING 512  /* connections opened before the server must have accepted them: fewer than its backlog */
#define BULK_CHUNK 65536
#define MAXIMUM_ERRORS 100

enum kind { CHURN, ECHO, BULK_IN, BULK_OUT };

static struct scenario {
    const char *name;
    enum kind kind;
    bool burst;
    int connections, depth, idle;
    size_t size;
    double rate; /* MiB/s */
} scenario, scenarios[] = {
    {"accept", CHURN, .connections = 64},
    {"burst", CHURN, .connections = 512, .burst = true},
    {"short", CHURN, .connections = 64, .size = 64},
    {"echo", ECHO, .connections = 64, .depth = 1, .size = 64},
    {"pipe", ECHO, .connections = 64, .depth = 16, .size = 64},
    {"echo16k", ECHO, .connections = 64, .depth = 1, .size = 16384},
    {"idle1k", ECHO, .connections = 64, .depth = 1, .size = 64, .idle = 1000},
    {"ping", ECHO, .connections = 1, .depth = 1, .size = 64},
    {"bulkin", BULK_IN, .connections = 4, .rate = 400},
    {"bulkout", BULK_OUT, .connections = 4, .rate = 400},
};

struct connection {
    int fd;
    uint32_t seed;                   /* where in the pattern its stream begins */
    uint64_t target, sent, received; /* bytes */
    int64_t *began;                  /* a ring: when each message in flight was issued */
};

static struct phase {
    uint64_t limit, issued, completed, failed, bytes;
    int64_t start, end, deadline;
} phase;

static const struct linger reset = {1, 0}; /* close() sends a reset */
static struct sockaddr_in server = {.sin_family = AF_INET};
static double seconds = -1, warmup, grace = 10;
static uint64_t operations;
static bool verify;

static struct connection *pool, **spare;
static int pool_size, spare_count, alive, poller;
static uint64_t opened, errors;
static char first_error[256];
static uint8_t pattern[2 * PERIOD], buffer[256 * 1024];

static void error(const char *what, int number)
{
    if (!errors++)
        snprintf(first_error, sizeof first_error, "%s%s%s", what, number ? ": " : "", number ? strerror(number) : "");
}

/* Connections */

static void set(int fd, int level, int option, const void *value, socklen_t size)
{
    if (setsockopt(fd, level, option, value, size))
        die("setsockopt");
}

static void discard(struct connection *c)
{
    close(c->fd);
    c->fd = -1;
    spare[spare_count++] = c;
    alive--;
}

static void lose(struct connection *c, const char *what, int number)
{
    error(what, number);
    phase.failed += scenario.kind == ECHO ? (c->target - c->received + scenario.size - 1) / scenario.size : 1;
    discard(c);
}

static bool flush(struct connection *c)
{
    while (c->sent < c->target) {
        size_t size = c->target - c->sent;
        ssize_t n = send(c->fd, pattern + (c->seed + c->sent) % PERIOD, size < PERIOD ? size : PERIOD, MSG_NOSIGNAL);
        if (n > 0)
            c->sent += n;
        else if (errno == EAGAIN)
            return true;
        else if (errno != EINTR)
            return lose(c, "send", errno), false;
    }
    return true;
}

static struct connection *open_connection(void)
{
    struct connection *c = spare[--spare_count];
    alive++;
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        die("socket");
    c->sent = c->received = 0;
    c->target = scenario.kind == CHURN ? scenario.size : 0;
    c->seed = opened * 8191 % PERIOD;
    /*
     * Ports must not run out, and one server's leavings must not slow the next one down. One address has 28,000
     * ports, and a connection closed in order holds one for a minute (TIME_WAIT). So connections come from many
     * addresses, their ports chosen at connect(). Where connections are short the server closes first; the client,
     * having seen the end, goes with a reset, which leaves no TIME_WAIT on either side. The others: see leave().
     */
    int on = 1;
    struct sockaddr_in source = {.sin_family = AF_INET,
                                 .sin_addr.s_addr = htonl(0x7f010001 + (uint32_t)(opened % SOURCES))};
    set(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    if (bind(c->fd, (void *)&source, sizeof source))
        die("bind");
    if (scenario.kind == CHURN)
        set(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (scenario.kind == BULK_OUT) {
        int size = 256 * 1024; /* fixed: left to the kernel it grows for seconds, and with it the work per wake-up */
        set(c->fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    if (scenario.size)
        set(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    opened++;
    if (connect(c->fd, (void *)&server, sizeof server) && errno != EINPROGRESS)
        return lose(c, "connect", errno), NULL;
    if (!flush(c))
        return NULL;
    bool writes = scenario.kind == ECHO || c->sent < c->target;
    struct epoll_event event = {EPOLLIN | EPOLLRDHUP | EPOLLET | (writes ? EPOLLOUT : 0), {.ptr = c}};
    if (epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &event))
        die("epoll_ctl");
    return c;
}

/* Bytes that arrived: counted, and in verify mode compared with what was sent. */
static bool take(struct connection *c, size_t size)
{
    if (c->received + size > c->sent)
        return lose(c, "more bytes came than were sent", 0), false;
    for (size_t done = 0, part; verify && done < size; done += part) {
        part = size - done < PERIOD ? size - done : PERIOD;
        if (memcmp(buffer + done, pattern + (c->seed + c->received + done) % PERIOD, part))
            return lose(c, "wrong bytes came back", 0), false;
    }
    c->received += size;
    phase.bytes += size;
    return true;
}

static bool may_issue(int64_t time)
{
    return phase.issued < phase.limit && time < phase.end;
}

static void issue(struct connection *c, int64_t time)
{
    c->began[c->target / scenario.size % scenario.depth] = time;
    c->target += scenario.size;
    phase.issued++;
}

static void echo_event(struct connection *c, bool ending)
{
    for (;;) {
        ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
        if (n > 0) {
            uint64_t message = c->received / scenario.size;
            if (!take(c, n))
                return;
            int64_t time = now();
            for (; message < c->received / scenario.size; message++) {
                record(time - c->began[message % scenario.depth]);
                phase.completed++;
                if (may_issue(time))
                    issue(c, time);
            }
            if ((size_t)n < sizeof buffer && !ending)
                break;
        } else if (n == 0)
            return lose(c, "the server closed early", 0);
        else if (errno == EAGAIN)
            break;
        else if (errno != EINTR)
            return lose(c, "recv", errno);
    }
    flush(c);
}

static void churn_event(struct connection *c, bool ending)
{
    if (!flush(c))
        return;
    for (;;) {
        ssize_t n = recv(c->fd, buffer, sizeof buffer, 0);
        if (n > 0) {
            if (!take(c, n))
                return;
            if (!ending)
                return;
        } else if (n == 0) {
            if (c->received < scenario.size)
                return lose(c, "the server closed early", 0);
            record(now() - c->began[0]);
            phase.completed++;
            return discard(c);
        } else if (errno == EAGAIN)
            return;
        else if (errno != EINTR)
            return lose(c, "recv", errno);
    }
}

/* Opens as many connections as may be open; in a burst only when the last is over, and with the server held. */
static void refill(void)
{
    if (!may_issue(now()) || (scenario.burst && alive))
        return;
    if (scenario.burst && !freeze(phase.deadline))
        error("the server cannot be stopped", 0);
    while (alive < scenario.connections && errors < MAXIMUM_ERRORS && may_issue(now())) {
        spare[spare_count - 1]->began[0] = now();
        phase.issued++;
        open_connection();
    }
    if (scenario.burst) {
        int64_t time = now();
        for (int i = 0; i < pool_size; i++)
            pool[i].began[0] = time;
        thaw();
    }
}

static void begin_phase(uint64_t limit, double length)
{
    memset(&phase, 0, sizeof phase);
    forget_latencies();
    phase.limit = limit;
    phase.start = now();
    phase.end = phase.start + length * SECOND;
    phase.deadline = phase.end + grace * SECOND;
}

static void messages(int first, int count, int depth, uint64_t limit, double length)
{
    static struct epoll_event events[256];
    begin_phase(limit, length);
    if (scenario.kind == CHURN)
        refill();
    else
        for (int i = first; i < first + count; i++) {
            for (int n = 0; n < depth && may_issue(now()); n++)
                issue(&pool[i], now());
            flush(&pool[i]);
        }
    while (alive && errors < MAXIMUM_ERRORS && phase.completed + phase.failed < phase.issued) {
        int ready = epoll_wait(poller, events, 256, 100);
        for (int i = 0; i < ready; i++) {
            bool ending = events[i].events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR);
            (scenario.kind == CHURN ? churn_event : echo_event)(events[i].data.ptr, ending);
        }
        if (scenario.kind == CHURN)
            refill();
        if (now() > phase.deadline) {
            error("no answer in time", 0);
            errors += phase.issued - phase.completed - phase.failed - 1;
            break;
        }
    }
}

/* Bulk data at a fixed rate, a portion every millisecond, over all connections in turn. An operation is one MiB. */
static void bulk(uint64_t limit, double length)
{
    begin_phase(limit, length);
    int next = 0;
    int64_t tick = phase.start;
    for (int64_t time; (time = now()) < phase.end && phase.bytes < limit * MEBIBYTE && alive == scenario.connections;) {
        uint64_t due = (time - phase.start) / 1e9 * scenario.rate * MEBIBYTE;
        if (due > limit * MEBIBYTE)
            due = limit * MEBIBYTE;
        for (int stalled = 0; phase.bytes < due && stalled < scenario.connections && alive == scenario.connections;) {
            struct connection *c = &pool[next++ % scenario.connections];
            size_t size = due - phase.bytes < BULK_CHUNK ? due - phase.bytes : BULK_CHUNK;
            ssize_t n = scenario.kind == BULK_IN ? send(c->fd, buffer, size, MSG_NOSIGNAL) : recv(c->fd, buffer, size, 0);
            if (n > 0) {
                stalled = 0;
                phase.bytes += n;
                for (ssize_t i = 0; verify && scenario.kind == BULK_OUT && i < n; i++)
                    if (buffer[i] != 'x')
                        return lose(c, "wrong bytes came", 0);
            } else if (n < 0 && errno == EAGAIN)
                stalled++;
            else if (n == 0 || errno != EINTR)
                return lose(c, n ? "bulk data" : "the server closed early", n ? errno : 0);
        }
        tick += SECOND / 1000;
        struct timespec until = {tick / SECOND, tick % SECOND};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
    phase.completed = phase.bytes / MEBIBYTE;
    for (int i = 0; verify && scenario.kind == BULK_IN && i < scenario.connections; i++) {
        /* Only a server that has read everything sees the end, and closes. */
        shutdown(pool[i].fd, SHUT_WR);
        while (recv(pool[i].fd, buffer, sizeof buffer, 0))
            if (errno != EAGAIN || now() > phase.deadline)
                return lose(&pool[i], "the server did not read to the end", 0);
            else
                usleep(1000);
    }
}

static void run_phase(uint64_t limit, double length)
{
    if (scenario.kind == BULK_IN || scenario.kind == BULK_OUT)
        bulk(limit, length);
    else
        messages(0, scenario.connections, scenario.depth, limit, length);
    usleep(5000); /* what the server still does after the last answer belongs to this phase */
}

/*
 * Opens the connections that stay, no more at a time than a backlog holds. Where there is an echo each sends a message:
 * once that has come back the server has accepted all, the idle ones too.
 */
static void open_all(void)
{
    for (int first = 0; first < pool_size && !errors; first += OPENING) {
        int count = pool_size - first < OPENING ? pool_size - first : OPENING;
        for (int i = 0; i < count && open_connection(); i++)
            ;
        if (scenario.kind == ECHO && !errors)
            messages(first, count, 1, count, grace);
    }
}

/*
 * The connections that are open go with a reset, so that thousands do not stay in TIME_WAIT. The server must not come to
 * see it: it is left stopped, for whoever started it to end.
 */
static void leave(void)
{
    if (!server_count || !freeze(now() + SECOND))
        return;
    for (int i = 0; i < pool_size; i++)
        if (pool[i].fd >= 0)
            set(pool[i].fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
}

static void usage(void)
{
    fputs("usage: load HOST PORT SCENARIO [--seconds S] [--ops N] [--warmup S] [--connections N] [--size BYTES]\n"
          "            [--depth N] [--idle N] [--rate MiB/s] [--grace S] [--server-pid PID[,PID...]] [--verify]\n"
          "scenarios:", stderr);
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        fprintf(stderr, " %s", scenarios[i].name);
    fputs("\n", stderr);
    exit(2);
}

static void read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"seconds", 1, 0, 's'}, {"ops", 1, 0, 'o'}, {"warmup", 1, 0, 'w'}, {"connections", 1, 0, 'c'},
        {"size", 1, 0, 'z'}, {"depth", 1, 0, 'd'}, {"idle", 1, 0, 'i'}, {"rate", 1, 0, 'r'}, {"grace", 1, 0, 'g'},
        {"server-pid", 1, 0, 'p'}, {"verify", 0, 0, 'v'}, {0}};
    if (argc < 4 || !inet_aton(argv[1], &server.sin_addr))
        usage();
    server.sin_port = htons(atoi(argv[2]));
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++)
        if (!strcmp(argv[3], scenarios[i].name))
            scenario = scenarios[i];
    if (!scenario.name)
        usage();
    for (int option; (option = getopt_long(argc - 3, argv + 3, "", options, NULL)) != -1;)
        switch (option) {
        case 's': seconds = atof(optarg); break;
        case 'o': operations = strtoull(optarg, NULL, 10); break;
        case 'w': warmup = atof(optarg); break;
        case 'c': scenario.connections = atoi(optarg); break;
        case 'z': scenario.size = strtoull(optarg, NULL, 10); break;
        case 'd': scenario.depth = atoi(optarg); break;
        case 'i': scenario.idle = atoi(optarg); break;
        case 'r': scenario.rate = atof(optarg); break;
        case 'g': grace = atof(optarg); break;
        case 'v': verify = true; break;
        case 'p':
            for (char *pid = strtok(optarg, ","); pid && server_count < MAXIMUM_SERVERS; pid = strtok(NULL, ","))
                servers[server_count++] = atoi(pid);
            break;
        default: usage();
        }
    if (seconds < 0)
        seconds = operations ? 60 : 1;
    if (!operations)
        operations = 1000000000;
    bool echo = scenario.kind == ECHO, bulk = scenario.kind == BULK_IN || scenario.kind == BULK_OUT;
    if (scenario.connections < 1 || scenario.idle < 0 || (echo && (!scenario.size || scenario.depth < 1)) ||
        (bulk && scenario.rate <= 0) || (scenario.burst && !server_count))
        usage();
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    for (size_t i = 0; i < sizeof pattern; i++)
        pattern[i] = i < PERIOD ? (i * i + i * 7) >> 3 : pattern[i - PERIOD];

    poller = epoll_create1(EPOLL_CLOEXEC);
    pool_size = scenario.connections + scenario.idle;
    pool = calloc(pool_size, sizeof *pool);
    spare = calloc(pool_size, sizeof *spare);
    if (poller < 0 || !pool || !spare)
        die("start");
    for (spare_count = 0; spare_count < pool_size; spare_count++) {
        struct connection *c = spare[spare_count] = &pool[pool_size - 1 - spare_count];
        c->fd = -1;
        c->began = calloc(scenario.depth ? scenario.depth : 1, sizeof *c->began);
    }
    if (scenario.kind != CHURN)
        open_all();
    if (warmup > 0 && !errors)
        run_phase(UINT64_MAX / MEBIBYTE, warmup);

    double own = load_time(), waited = load_waited();
    int64_t before = server_time();
    if (!errors)
        run_phase(operations, seconds);
    int64_t elapsed = now() - phase.start, after = server_time();
    own = load_time() - own;
    waited = load_waited() - waited;
    if (before < 0 || after < 0)
        error("the server has gone", 0);

    printf("{\"scenario\": \"%s\", \"operations\": %llu, \"seconds\": %.6f, \"bytes\": %llu, \"errors\": %llu", scenario.name,
           (unsigned long long)phase.completed, elapsed / 1e9, (unsigned long long)phase.bytes, (unsigned long long)errors);
    if (errors)
        printf(", \"error\": \"%s\"", first_error);
    if (server_count)
        printf(", \"server_cpu\": %.9f", (after - before) / 1e9);
    printf(", \"load_cpu\": %.6f, \"load_waited\": %.6f", own, waited);
    if (scenario.rate)
        printf(", \"rate_asked\": %.1f, \"rate\": %.1f", scenario.rate, phase.bytes / (elapsed / 1e9) / MEBIBYTE);
    if (latencies)
        printf(", \"latency_us\": {\"p50\": %.1f, \"p90\": %.1f, \"p99\": %.1f, \"p99.9\": %.1f, \"max\": %.1f}",
               percentile(.5), percentile(.9), percentile(.99), percentile(.999), longest / 1e3);
    printf("}\n");
    leave();
    return errors ? 1 : 0;
}

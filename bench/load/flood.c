/*
 * A flood of connections, each reset as soon as it is open, and one connection that exchanges a byte all the while.
 *
 *   flood PORT SECONDS
 *
 * prints one JSON line: connections a second, and the latency of the exchange. One thread: what the flood costs the client
 * does not disturb the clock of the exchange, which is looked at after each connection.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES 1000000

static struct sockaddr_in server = {.sin_family = AF_INET};
static double samples[SAMPLES];

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec + time.tv_nsec / 1e9;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int ascending(const void *one, const void *other)
{
    double difference = *(const double *)one - *(const double *)other;
    return (difference > 0) - (difference < 0);
}

static int connection(int flags)
{
    int fd = socket(AF_INET, SOCK_STREAM | flags, 0);
    if (fd < 0)
        die("socket");
    if (connect(fd, (struct sockaddr *)&server, sizeof server) && errno != EINPROGRESS)
        die("connect");
    return fd;
}

int main(int argc, char **argv)
{
    if (argc != 3) {
        fputs("usage: flood PORT SECONDS\n", stderr);
        return 2;
    }
    server.sin_port = htons(atoi(argv[1]));
    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    double seconds = atof(argv[2]);
    const struct linger reset = {1, 0};
    const struct timeval patience = {5, 0};
    int on = 1;
    char byte = 'x';

    int probe = connection(0);
    setsockopt(probe, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    setsockopt(probe, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (send(probe, &byte, 1, MSG_NOSIGNAL) != 1 || recv(probe, &byte, 1, 0) != 1)
        die("the first exchange");

    size_t count = 0;
    unsigned long opened = 0;
    double start = now(), sent = start, end = start + seconds, moment = start;
    if (send(probe, &byte, 1, MSG_NOSIGNAL) != 1)
        die("send");
    while (moment < end) {
        int fd = connection(SOCK_NONBLOCK);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
        opened++;
        ssize_t size = recv(probe, &byte, 1, MSG_DONTWAIT);
        moment = now();
        if (size == 1) {
            if (count < SAMPLES)
                samples[count++] = moment - sent;
            sent = moment;
            if (send(probe, &byte, 1, MSG_NOSIGNAL) != 1)
                die("send");
        } else if (size == 0 || errno != EAGAIN) {
            die("recv");
        }
    }
    double took = moment - start;
    if (recv(probe, &byte, 1, 0) != 1) /* the last one counts, however late it is */
        die("the last exchange");
    if (count < SAMPLES)
        samples[count++] = now() - sent;
    qsort(samples, count, sizeof *samples, ascending);
    printf("{\"connections_per_second\": %.0f, \"exchanges\": %zu, \"p50_ms\": %.3f, \"p99_ms\": %.3f, \"max_ms\": %.3f}\n",
           opened / took, count, samples[count / 2] * 1e3, samples[(size_t)(count * 0.99)] * 1e3,
           samples[count - 1] * 1e3);
}

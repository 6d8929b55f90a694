/* What the load measures with: the clock, latencies, and the server's processes. */
#ifndef GAUGE_H
#define GAUGE_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)
#define MAXIMUM_SERVERS 64

static pid_t servers[MAXIMUM_SERVERS];
static int server_count;

static uint64_t histogram[64 * 32], latencies;
static int64_t longest;

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * SECOND + time.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "load: %s: %s\n", what, strerror(errno));
    exit(2);
}

/* Latencies: a logarithmic histogram, 32 steps to each power of two. */

static void record(int64_t nanoseconds)
{
    uint64_t value = nanoseconds > 0 ? nanoseconds : 0;
    int shift = value < 32 ? 0 : 58 - __builtin_clzll(value);
    histogram[shift * 32 + (value >> shift)]++;
    latencies++;
    if (nanoseconds > longest)
        longest = nanoseconds;
}

static void forget_latencies(void)
{
    memset(histogram, 0, sizeof histogram);
    latencies = longest = 0;
}

static double percentile(double part)
{
    uint64_t rank = latencies * part, seen = 0;
    for (int index = 0; index < 64 * 32; index++)
        if ((seen += histogram[index]) > rank) {
            int shift = index < 64 ? 0 : index / 32 - 1;
            return ((uint64_t)(index - shift * 32) << shift) / 1e3;
        }
    return longest / 1e3;
}

static double load_time(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* How long the load was kept from its core by others: any at all means that the machine is not the benchmark's alone. */
static double load_waited(void)
{
    unsigned long long ran, waited = 0;
    FILE *file = fopen("/proc/self/schedstat", "r");
    if (file && fscanf(file, "%llu %llu", &ran, &waited) != 2)
        waited = 0;
    if (file)
        fclose(file);
    return waited / 1e9;
}

/* The server's processes: their CPU time, and how a burst holds them. */

/* Their CPU time so far, in nanoseconds; -1 if one of them has gone. */
static int64_t server_time(void)
{
    int64_t total = 0;
    for (int i = 0; i < server_count; i++) {
        clockid_t clock;
        struct timespec time;
        if (clock_getcpuclockid(servers[i], &clock) || clock_gettime(clock, &time))
            return -1;
        total += time.tv_sec * SECOND + time.tv_nsec;
    }
    return total;
}

static char state_of(pid_t pid)
{
    char path[64], text[512] = "";
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY);
    if (fd < 0)
        return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    char *name_end = length > 0 ? strrchr(text, ')') : NULL;
    return name_end ? name_end[2] : 0;
}

static bool freeze(int64_t deadline)
{
    for (int i = 0; i < server_count; i++)
        kill(servers[i], SIGSTOP);
    for (int i = 0; i < server_count; i++)
        for (char state = 0; state != 'T';)
            if (!(state = state_of(servers[i])) || now() > deadline)
                return false;
    return true;
}

static void thaw(void)
{
    for (int i = 0; i < server_count; i++)
        kill(servers[i], SIGCONT);
}

#endif

"""The time of day may jump, and the clock that the package goes by may stand anywhere."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from ..behaviour.helpers import TooLate, in_time, on_linux

pytestmark = on_linux

# Each call that asks for the time of day gets one that is a month before or after the last.
JUMPING = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
static long jump(void) { static long calls; return (++calls % 2 ? 1 : -1) * 2592000L; }
int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *)) dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(clock, now);
    if (clock == CLOCK_REALTIME && !result) now->tv_sec += jump();
    return result;
}
int gettimeofday(struct timeval *now, void *zone) {
    struct timespec exact;
    int result = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec; now->tv_usec = exact.tv_nsec / 1000;
    return result;
}
time_t time(time_t *told) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (told) *told = exact.tv_sec;
    return exact.tv_sec;
}
"""
# Exits with 75 where the machine was too slow for `begin` to lie before `boundary`.
PROGRAM = """
import errno, socket, sys, time
import serversocket
unit, boundary = map(float, sys.argv[1:])
order, told, held = [], [], []
server = serversocket.ServerSocket()
server.bind(0, "127.0.0.1")
server.listen()
reactor = server.reactor
def accept(event):
    held.append(event.socket)
    event.socket.idle_timeout = 8 * unit
    event.socket.add_event_listener("ioError", lambda event: told.append((event.errno, time.monotonic())))
server.add_event_listener("connect", accept)
with socket.create_connection(("127.0.0.1", server.local_port), timeout=60) as client:
    time.sleep(max(0, boundary - 3 * unit - time.monotonic()))
    begin = time.monotonic()
    if begin > boundary > 0:
        sys.exit(75)
    for turns in (4, 1, 2):
        reactor.call_later(turns * unit, lambda turns=turns: order.append((turns, time.monotonic() - begin)))
    while not told:
        reactor.poll(0.3)
assert [turns for turns, _ in order] == [1, 2, 4], order
assert all(turns * unit <= after < turns * unit + 60 for turns, after in order), order
assert told[0][0] == errno.ETIMEDOUT, told
assert 7 * unit <= told[0][1] - begin < 60, told
assert boundary < told[0][1]
server.close()
"""


def run(prefix, program, unit=0.05, boundary=0.0, **environment):
    result = subprocess.run(
        [*prefix, sys.executable, "-c", textwrap.dedent(program), str(unit), str(boundary)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONFAULTHANDLER": "1", **environment},
    )
    if result.returncode == 75:
        raise TooLate
    assert (result.returncode, result.stderr) == (0, ""), result.stderr


def test_timers_and_timeouts_do_not_hear_of_jumps_of_the_time_of_day(tmp_path):
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    library = tmp_path / "jumping.so"
    command = [compiler, "-shared", "-fPIC", "-x", "c", "-", "-o", library, "-ldl"]
    subprocess.run(command, input=JUMPING.encode(), check=True)
    jumps = "import time; assert abs(time.time() - time.time()) > 1e6\n"
    run([], jumps + PROGRAM, LD_PRELOAD=f"{os.environ.get('LD_PRELOAD', '')} {library}")


@pytest.mark.parametrize(
    "boundary",
    [
        pytest.param(2**32 / 1000, id="32 bits of milliseconds"),
        pytest.param(2**31, id="31 bits of seconds"),
    ],
)
def test_the_clock_may_pass_any_boundary(boundary):
    """It lies in the middle of all that the program measures."""

    def attempt(seconds):
        with open("/proc/uptime") as uptime:
            ahead = int(boundary - float(uptime.read().split()[0]) - 10 * seconds)
        prefix = ["unshare", "--time", "--fork", "--monotonic", str(ahead)]
        if shutil.which("unshare") is None or subprocess.run([*prefix, "true"], capture_output=True).returncode:
            pytest.skip("needs unshare that may make a time namespace")
        run(prefix, PROGRAM, seconds / 2, boundary)

    in_time(attempt)

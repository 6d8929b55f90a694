"""A sandbox that forbids a system call, or a system that does not have it: strace says so in its place."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys

import pytest

from ..behaviour.helpers import on_linux

pytestmark = on_linux
STRACE = shutil.which("strace")


@functools.cache
def strace_works() -> bool:
    command = [STRACE, "-qq", "-e", "trace=none", "-e", "inject=epoll_create1:error=ENOSYS:when=1", "true"]
    return STRACE is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture(autouse=True)
def _strace():
    if not strace_works():
        pytest.skip("needs an strace that may trace")


def without(call: str, error: str, program: str) -> None:
    """Runs a program for which a system call fails each time."""
    command = [STRACE, "-f", "-qq", "-e", f"trace={call}", "-e", f"inject={call}:error={error}", "-o", "/dev/stdout"]
    result = subprocess.run(
        [*command, sys.executable, "-X", "dev", "-c", program, error],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr
    assert "(INJECTED)" in result.stdout, f"{call} was not called: this shows nothing"


def test_accept4_that_does_not_exist_is_reported_or_replaced_and_nothing_spins():
    without(
        "accept4",
        "ENOSYS",
        """
import errno, socket, time
import serversocket
server = serversocket.ServerSocket()
server.bind(0, "127.0.0.1")
server.listen()
errors, accepted = [], []
server.add_event_listener("ioError", errors.append)
server.add_event_listener("connect", lambda event: accepted.append(event.socket))
with socket.create_connection(("127.0.0.1", server.local_port)):
    end = time.monotonic() + 60
    while not errors and not accepted:
        assert time.monotonic() < end
        server.reactor.poll(0.1)
    turns, end = 0, time.monotonic() + 0.5
    while time.monotonic() < end:
        server.reactor.poll(0.1)
        turns += 1
    assert turns < 50, turns
    # The interpreter's own socket module has another call to fall back on.
    if serversocket.implementation == "native" or not accepted:
        assert [event.errno for event in errors] == [errno.ENOSYS], errors
    assert server.listening
for it in accepted:
    it.close()
server.close()
""",
    )


@pytest.mark.parametrize("error", ["ENOSYS", "EPERM"])
def test_a_reactor_without_epoll_says_so_or_does_without(error):
    without(
        "epoll_create1",
        error,
        """
import errno, socket, sys
import serversocket
try:
    server = serversocket.ServerSocket()
except OSError as refused:
    assert refused.errno == getattr(errno, sys.argv[1]), refused
else:
    assert serversocket.implementation == "pure"
    server.bind(0, "127.0.0.1")
    server.listen()
    served = []
    server.add_event_listener("connect", lambda event: served.append(event.socket.close()))
    with socket.create_connection(("127.0.0.1", server.local_port), timeout=60) as client:
        while not served:
            server.reactor.poll(1)
        assert client.recv(1) == b""
    server.close()
""",
    )

"""What a server does when accepting fails, with each error number that accept(2) knows: strace injects them."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import textwrap

import pytest

from ..behaviour.helpers import on_linux

STRACE = shutil.which("strace")

pytestmark = on_linux


@functools.cache
def strace_works() -> bool:
    """Whether there is an strace that may trace and inject."""
    if STRACE is None:
        return False
    command = [STRACE, "-qq", "-e", "trace=none", "-e", "inject=accept4:error=EIO:when=1", "true"]
    return subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture(autouse=True)
def _strace():
    if not strace_works():
        pytest.skip("needs an strace that may trace")


PROLOGUE = """
import errno, os, socket, time
import serversocket
from serversocket.loop.reactor import current_reactor
reactor = current_reactor()
logs, errors, closes = [], [], []
server = serversocket.ServerSocket()
server.bind(0, "127.0.0.1")
def accept(event):
    data = bytearray()
    event.socket.add_event_listener("socketData", lambda event: data.extend(event.target.read()))
    logs.append((event.socket, data))
server.add_event_listener("connect", accept)
server.add_event_listener("ioError", lambda event: errors.append(event.errno))
server.add_event_listener("close", closes.append)
server.listen()
began = time.monotonic()
def paced():
    \"\"\"Errors come once a second at most.\"\"\"
    return len(errors) <= 1 + time.monotonic() - began
def until(predicate):
    turns = 0
    while not predicate():
        reactor.poll(10)
        turns += 1
        assert turns < 500, "it spins"
    return turns
def descriptors():
    return len(os.listdir("/proc/self/fd"))
def serve_one():
    \"\"\"A client is served; how many turns it took.\"\"\"
    before = descriptors()
    with socket.create_connection(("127.0.0.1", server.local_port), timeout=60) as client:
        count = len(logs)
        turns = until(lambda: len(logs) > count)
        it, data = logs.pop()
        client.sendall(b"hello")
        until(lambda: data == b"hello")
        it.close()
    until(lambda: descriptors() == before)
    return turns
"""


def with_failing(calls: str, name: str, when: str, program: str) -> int:
    """Runs a program whose system calls fail with the error as `when` says; how many of them did."""
    command = [STRACE, "-f", "-qq", "-e", f"trace={calls}", "-e", f"inject={calls}:error={name}:when={when}"]
    command += ["-o", "/dev/stdout"]
    result = subprocess.run(
        [*command, sys.executable, "-X", "dev", "-W", "error", "-c", PROLOGUE + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )
    assert result.returncode == 0, f"exit status {result.returncode}\n{result.stdout}\n{result.stderr}"
    assert result.stderr == "", result.stderr
    return result.stdout.count("(INJECTED)")


LOST = (
    "EINTR ECONNABORTED ENETDOWN EPROTO ENOPROTOOPT EHOSTDOWN ENONET EHOSTUNREACH EOPNOTSUPP ENETUNREACH EPERM"
    " ETIMEDOUT ENOSR"
)


@pytest.mark.parametrize("name", [*LOST.split(), "EAGAIN"])
def test_an_error_of_one_connection_is_passed_over_quietly(name):
    injected = with_failing(
        "accept4",
        name,
        "1..3",
        """
        for _ in range(3):
            turns = serve_one()
            assert turns < 10, turns
        assert errors == [] and closes == [], (errors, closes)
        assert server.listening
        server.close()
        reactor.run()
        """,
    )
    assert injected == 3


@pytest.mark.parametrize("name", ["ENOBUFS", "ENOMEM", "ENFILE", "EIO", "EINVAL"])
def test_a_shortage_and_an_unknown_error_pause_and_are_told_once(name):
    injected = with_failing(
        "accept4",
        name,
        "1..6",
        f"""
        turns = serve_one()
        assert turns < 50, turns
        assert errors and set(errors) == {{errno.{name}}}, errors
        assert paced(), errors
        for _ in range(3):
            serve_one()
        assert closes == []
        assert server.listening
        server.close()
        reactor.run()
        """,
    )
    assert injected == 6


@pytest.mark.parametrize(("name", "in_a_turn"), [("EIO", 1), ("EPERM", 64)])
def test_a_lasting_error_makes_no_spin(name, in_a_turn):
    """Between two failures the server waits."""
    injected = with_failing(
        "accept4",
        name,
        "1+",
        f"""
        with socket.create_connection(("127.0.0.1", server.local_port), timeout=60) as client:
            turns = 0
            end = time.monotonic() + 1
            while time.monotonic() < end:
                reactor.poll(0.1)
                turns += 1
            assert turns < 100, turns
            assert set(errors) == {{errno.{name}}}, errors
            assert paced(), errors
        server.close()
        reactor.run()
        """,
    )
    assert 1 <= injected < 100 * in_a_turn

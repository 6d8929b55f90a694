"""What happens when epoll takes no more descriptors: strace makes the one or other registration fail."""

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


@functools.cache
def strace_works() -> bool:
    """Whether there is an strace that may trace and inject."""
    command = [STRACE, "-qq", "-e", "trace=none", "-e", "inject=epoll_ctl:error=ENOSPC:when=1", "true"]
    return STRACE is not None and subprocess.run(command, capture_output=True).returncode == 0


@pytest.fixture(autouse=True)
def _strace():
    if not strace_works():
        pytest.skip("needs an strace that may trace")


pytestmark = on_linux

PROLOGUE = """
import contextlib, gc, os, socket
import serversocket
from serversocket.loop.reactor import current_reactor
def descriptors():
    return len(os.listdir("/proc/self/fd"))
def note(it, *types):
    events = []
    for type in types:
        it.add_event_listener(type, lambda event: events.append(event.type))
    return events
def until(predicate):
    while not predicate():
        reactor.poll(1)
reactor = current_reactor()
"""


def with_failing(nth: int, program: str) -> None:
    """Runs a program whose nth call of epoll_ctl fails. The first is the reactor's own, for its wake-up."""
    command = [STRACE, "-f", "-qq", "-e", "trace=epoll_ctl", "-e", f"inject=epoll_ctl:error=ENOSPC:when={nth}"]
    command += ["-o", "/dev/stdout"]
    result = subprocess.run(
        [*command, sys.executable, "-X", "dev", "-W", "error", "-c", PROLOGUE + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )
    assert result.returncode == 0, f"exit status {result.returncode}\n{result.stdout}\n{result.stderr}"
    assert result.stderr == "", result.stderr
    failed = [line for line in result.stdout.splitlines() if "(INJECTED)" in line]
    assert len(failed) == 1, result.stdout
    assert "EPOLL_CTL_DEL" not in failed[0], f"this never fails: {failed[0]}"


def test_connect():
    with_failing(
        2,
        """
        with socket.create_server(("127.0.0.1", 0)) as listener:
            before = descriptors()
            with serversocket.Socket() as it:
                events = note(it, "connect", "ioError", "close")
                it.connect("127.0.0.1", listener.getsockname()[1])
                until(lambda: events)
                assert events == ["ioError"], events
                assert not it.connected
                assert descriptors() == before
                events.clear()
                it.connect("127.0.0.1", listener.getsockname()[1])
                until(lambda: events)
                assert events == ["connect"], events
                assert it.connected
        """,
    )


def test_listen():
    with_failing(
        2,
        """
        with serversocket.ServerSocket() as server:
            server.bind(0, "127.0.0.1")
            events = note(server, "connect")
            try:
                server.listen()
            except serversocket.IOError:
                assert not server.listening
            else:
                raise AssertionError("listen() says nothing")
            server.listen()
            assert server.listening
            with socket.create_connection(("127.0.0.1", server.local_port)):
                until(lambda: events)
        """,
    )


def test_a_listener_of_a_listening_server():
    with_failing(
        3,
        """
        with serversocket.ServerSocket() as server:
            server.bind(0, "127.0.0.1")
            server.listen()
            try:
                note(server, "connect")
            except serversocket.IOError as error:
                assert "epoll_ctl: No space left on device" in str(error), error
                assert not server.has_event_listener("connect")
            else:
                raise AssertionError("add_event_listener() says nothing")
            events = note(server, "connect")
            with socket.create_connection(("127.0.0.1", server.local_port)):
                until(lambda: events)
        """,
    )


def test_accept():
    with_failing(
        3,
        """
        accepted = []
        with serversocket.ServerSocket() as server:
            server.bind(0, "127.0.0.1")
            def accept(event):
                accepted.append((event.socket, note(event.socket, "ioError", "close")))
            server.add_event_listener("connect", accept)
            server.listen()
            before = descriptors()
            with socket.create_connection(("127.0.0.1", server.local_port), timeout=60) as client:
                until(lambda: accepted and accepted[0][1][-1:] == ["close"])
                it, events = accepted.pop()
                assert events == ["ioError", "close"], events
                assert not it.connected
                with contextlib.suppress(ConnectionResetError):
                    assert client.recv(1) == b""
            assert descriptors() == before
            with socket.create_connection(("127.0.0.1", server.local_port), timeout=60) as client:
                until(lambda: accepted)
                it, events = accepted.pop()
                client.sendall(b"hello")
                until(lambda: it.bytes_available)
                assert it.read() == b"hello"
                it.close()
        """,
    )


def test_output_that_is_still_to_be_sent_when_the_program_closes():
    with_failing(
        6,  # after the server, the connection, its wish to write, and its end
        """
        accepted = []
        with serversocket.ServerSocket() as server:
            server.bind(0, "127.0.0.1")
            server.add_event_listener("connect", lambda event: accepted.append(event.socket))
            server.listen()
            before = descriptors()
            with socket.create_connection(("127.0.0.1", server.local_port), timeout=60) as client:
                until(lambda: accepted)
                it = accepted.pop()
                events = note(it, "ioError", "close")
                it.write(bytes(8_000_000))
                it.flush()
                assert it.bytes_pending
                it.close()
                assert not it.connected
                with contextlib.suppress(ConnectionResetError):
                    while client.recv(1_000_000):
                        pass
            assert descriptors() == before
            assert events == []
        reactor.run()
        """,
    )

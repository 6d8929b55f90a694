"""Every program of the pages of reference and explanation runs as it is printed, and does what its page says."""

from __future__ import annotations

import ast
import re
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import serversocket

from ..behaviour.helpers import PATIENCE, complaints, run_until, unused_port

DOCS = Path(__file__).parents[2] / "docs"
PORT = re.compile(r"\b(8000|8080)\b")
#: Its programs have tests of their own.
ELSEWHERE = {"explanation/large-data.md"}

PROGRAMS = {
    f"{path.relative_to(DOCS)}, {number}": code
    for folder in ("reference", "explanation")
    for path in sorted((DOCS / folder).glob("*.md"))
    if str(path.relative_to(DOCS)) not in ELSEWHERE
    for number, code in enumerate(re.findall(r"^```python\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL), 1)
}


class Program:
    """One that runs, on a port of its own."""

    def __init__(self, code: str, port: int) -> None:
        self.port = port
        code = PORT.sub(str(port), code)
        self.process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-u", "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def connect(self) -> socket.socket:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
            except ConnectionRefusedError:
                if self.process.poll() is not None or time.monotonic() > end:
                    pytest.fail(f"nothing listens: {self.process.communicate()}")
                time.sleep(0.01)

    def printed(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().rstrip()

    def end(self, status: int) -> str:
        """What it still prints until it has ended, without a complaint."""
        stdout, stderr = self.process.communicate(timeout=PATIENCE)
        assert complaints(stderr.decode()) == ""
        assert self.process.returncode == status
        return stdout.decode()


@contextmanager
def running(code: str, *, status: int = -signal.SIGTERM) -> Iterator[Program]:
    it = Program(code, unused_port())
    try:
        yield it
        it.process.terminate()
        it.end(status)
    finally:
        it.process.kill()
        it.process.communicate()


def all_of(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def greets(code: str) -> None:
    with running(code) as it, it.connect() as client:
        assert all_of(client) == b"hello\n"
        assert it.printed() == "connection from 127.0.0.1"


def greets_in_workers(code: str) -> None:
    if sys.platform != "linux":
        pytest.skip("needs what only Linux has")
    with running(code, status=0) as it:
        for _ in range(3):
            with it.connect() as client:
                assert all_of(client) == b"hello\n"


def talks(code: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        it = Program(code, server.getsockname()[1])
        client, _ = server.accept()
        with client:
            assert client.recv(100) == b"hello\n"
            client.sendall(b"welcome")
            assert all_of(client) == b""
        assert it.end(0) == "b'welcome'\n"
    refused = Program(code, unused_port())
    assert refused.end(0).startswith("failed: Error #2031: Socket Error.")


def echoes(code: str) -> None:
    with running(code) as it, it.connect() as one, it.connect() as two:
        for client in one, two, one:
            client.sendall(b"hello")
            assert client.recv(5, socket.MSG_WAITALL) == b"hello"


def passes(code: str) -> None:
    exec(compile(code, "page", "exec"), {})


def calls_its_listener(code: str) -> None:
    assert Program(code, 0).end(0) == "game over\n"


def reads_texts(code: str) -> None:
    with running(code) as it, it.connect() as client:
        assert client.recv(7, socket.MSG_WAITALL) == struct.pack(">H", 5) + b"hello"
        message = struct.pack(">H", 3) + b"one" + struct.pack(">H", 200) + b"x" * 200
        for at in range(0, len(message), 50):  # whatever pieces it arrives in
            client.sendall(message[at : at + 50])
        assert [it.printed(), it.printed()] == ["one", "x" * 200]


def prints_its_output(code: str) -> None:
    """In the order that the page shows; that of different connections is not promised."""
    page = (DOCS / "explanation" / "order.md").read_text()
    (expected,) = re.findall(r"^```text\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    printed = Program(code, 0).end(0)

    def of(who: str, text: str) -> list[str]:
        return [line for line in text.splitlines() if line.startswith(who)]

    def in_order(text: str) -> list[str]:
        return [line for line in of("server:", text) if line != "server: outputProgress"]

    assert in_order(printed) == in_order(expected)
    assert of("client:", printed) == of("client:", expected)
    assert "server: outputProgress" in printed


def sends_numbers(code: str) -> None:
    """To a peer that reads nothing for a while, all the same."""
    with running(code) as it, it.connect() as client:
        assert client.recv(2) == b"0\n"
        client.shutdown(socket.SHUT_WR)
        with client.makefile("rb") as rest:
            lines = rest.read().split()
    assert (len(lines), lines[-1]) == (999_999, b"999999")


def forwards(code: str) -> None:
    """Both ways, and keeps no more than the mark and one read of what the target does not take."""
    namespace: dict[str, Callable[..., None]] = {}
    exec(compile(code, "page", "exec"), namespace)
    reactor = serversocket.Reactor()
    accepted: list[serversocket.Socket] = []
    with serversocket.ServerSocket(reactor=reactor) as server:
        server.add_event_listener("connect", lambda event: accepted.append(event.socket))
        server.bind(0, "127.0.0.1")
        server.listen()
        ends = [socket.create_connection(("127.0.0.1", server.local_port), timeout=PATIENCE) for _ in range(2)]
        run_until(reactor, lambda: len(accepted) == 2)
    here, there = (next(it for it in accepted if it.remote_port == end.getsockname()[1]) for end in ends)
    namespace["forward"](here, there)
    ends[0].setblocking(False)
    most = 0
    data = b"x" * 65536
    with ends[0], ends[1]:
        sent = 0
        while not here.paused:
            with suppress(BlockingIOError):
                sent += ends[0].send(data)
            reactor.poll(0.01)
            most = max(most, there.bytes_pending)
        assert most <= there.high_water_mark + 4 * 65536
        taken = 0
        ends[1].setblocking(False)
        while taken < sent:
            with suppress(BlockingIOError):
                taken += len(ends[1].recv(1 << 20))
            reactor.poll(0.01)
        assert taken == sent
    reactor.close()


CHECKS: dict[str, Callable[[str], None]] = {
    "explanation/memory.md, 1": sends_numbers,
    "explanation/memory.md, 2": sends_numbers,
    "explanation/memory.md, 3": forwards,
    "explanation/order.md, 1": prints_its_output,
    "reference/aio.md, 1": echoes,
    "reference/data.md, 1": passes,
    "reference/dispatchers.md, 1": calls_its_listener,
    "reference/servers.md, 1": greets,
    "reference/sockets.md, 1": talks,
    "reference/supervisor.md, 1": greets_in_workers,
    "reference/typed-data.md, 1": reads_texts,
}


@pytest.mark.parametrize("place", PROGRAMS)
def test_a_program_does_what_its_page_says(place: str) -> None:
    assert place in CHECKS, f"nothing says what this program does:\n{PROGRAMS[place]}"
    CHECKS[place](PROGRAMS[place])


def test_every_check_has_its_program() -> None:
    assert set(CHECKS) == set(PROGRAMS)


def test_what_a_program_imports_is_public() -> None:
    for code in PROGRAMS.values():
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom):
                assert not (node.module or "").startswith("serversocket._")

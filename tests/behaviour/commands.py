"""The command line, as a user runs it: each command in a process of its own."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import serversocket

from .helpers import PATIENCE

COMMAND = [sys.executable, "-m", "serversocket"]
SERVERS = ("serve", "echo", "discard", "chargen")
MB = 1 << 20

Process = subprocess.Popen[bytes]
Start = Callable[..., Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts commands, with pipes as their standard streams, and ends those that a test leaves running.

    Servers take a free port where none is named: those by default belong to whoever runs one here.
    """
    processes: list[Process] = []

    def start(command: str, *arguments: str, **options: Any) -> Process:
        if command in SERVERS and "--port" not in arguments:
            arguments = ("--port", "0", *arguments)
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        call = [*COMMAND, command, *arguments]
        process = subprocess.Popen(call, preexec_fn=_heed_interrupts, **{**streams, **options})
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job begins with it ignored


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Runs a command to its end."""
    options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else None)
    if options["stdin"] is None:
        del options["stdin"]
    return subprocess.run([*COMMAND, *arguments], capture_output=True, **options)


def line(process: Process) -> str:
    """The next line of its standard output."""
    assert process.stdout is not None
    return process.stdout.readline().decode().removesuffix("\n")


def type_in(process: Process, data: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


def ends(process: Process, number: int = signal.SIGTERM) -> tuple[int, bytes]:
    """Ends it with a signal: its exit code, and what it said on standard error."""
    process.send_signal(number)
    _, complaints = process.communicate()
    return process.returncode, complaints


def port_of(server: Process) -> int:
    """The port that a server's log tells."""
    assert line(server) == f"Implementation: {serversocket.implementation}"
    bound = re.fullmatch(r"Bound to: (?:127\.0\.0\.1|\[::\]):(\d+)", line(server))
    assert bound
    return int(bound[1])


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)


def connect_to_silent(server: Process, port: int) -> socket.socket:
    """A client of a server that does not tell when it listens."""
    while True:
        try:
            return connect(port)
        except ConnectionRefusedError:
            assert server.poll() is None


def name_of(client: socket.socket) -> str:
    host, port = client.getsockname()
    return f"{host}:{port}"


def receive(client: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (piece := client.recv(min(MB, size - len(data)))):
        data += piece
    return bytes(data)


def receive_all(client: socket.socket) -> bytes:
    return receive(client, sys.maxsize)


def memory(process: Process, what: str = "VmRSS") -> int:
    """Bytes of a process's memory."""
    found = re.search(rf"{what}:\s*(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


def fdinfo(process: Process, descriptor: int) -> dict[str, str]:
    """What the system tells of one of its descriptors."""
    lines = Path(f"/proc/{process.pid}/fdinfo/{descriptor}").read_text().splitlines()
    return {name: value.strip() for name, _, value in (entry.partition(":") for entry in lines)}

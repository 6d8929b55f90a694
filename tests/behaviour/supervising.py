"""A supervisor in a process of its own, as the tests of supervisors see it."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .helpers import CHECKOUT, PATIENCE, complaints

# Each connection is told the worker's pid, and then gets back what it sends.
PROLOGUE = """
import logging, os, signal, sys, threading, time
import serversocket
from serversocket import Supervisor
logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
def setup(server):
    server.add_event_listener("connect", connected)
def connected(event):
    event.socket.write(b"%d\\n" % os.getpid())
    event.socket.add_event_listener("socketData", echo)
def echo(event):
    event.target.write(event.target.read())
def run(supervisor):
    print("port", supervisor.local_port, flush=True)
    supervisor.run()
    print("over", flush=True)
"""
DEFAULT = 'run(Supervisor(setup, 0, "127.0.0.1", workers=2))'


class Supervised:
    """A running program; its standard output is its log."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.log = ""
        self._read = 0
        self.port = int(self.line(r"port (\d+)")[1])

    def line(self, pattern: str) -> re.Match[str]:
        """The next line of the log that begins so; what was before it is not looked at again."""
        found = self._find(pattern, self._read)
        self._read = found.end()
        return found

    def tells(self, pattern: str) -> re.Match[str]:
        """A line that begins so, anywhere in the log: for what may come in any order."""
        return self._find(pattern, 0)

    def _find(self, pattern: str, start: int) -> re.Match[str]:
        expression = re.compile(rf"^(?:{pattern})", re.MULTILINE)
        end = time.monotonic() + PATIENCE
        while not (found := expression.search(self.log, start)) or "\n" not in self.log[found.end() :]:
            if time.monotonic() > end or not self._more():
                pytest.fail(f"no line {pattern!r} in\n{self.log[start:]}")
        return found

    def _more(self) -> bool:
        """Reads what is there, waiting for it a moment; whether there can be more."""
        output = self.process.stdout
        assert output is not None
        if not select.select([output], [], [], 0.05)[0]:
            return True
        data = os.read(output.fileno(), 65536)
        self.log = complaints(self.log + data.decode())
        return bool(data)

    def started(self, number: int | None = None) -> int:
        """The pid of the next worker that starts."""
        return int(self.line(rf"worker {number or '[0-9]+'} \(pid (\d+)\) started")[1])

    def all_started(self, count: int = 2) -> list[int]:
        """The pids of the first workers by their numbers; they start in any order."""
        pids = {}
        while len(pids) < count:
            number, pid = self.line(r"worker (\d+) \(pid (\d+)\) started").groups()
            pids[int(number)] = int(pid)
        return [pids[number] for number in sorted(pids)]

    def workers(self) -> list[int]:
        """The pids of all workers that there are at this moment."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def connect(self) -> Client:
        return Client(self.port)

    def send(self, number: int) -> None:
        self.process.send_signal(number)

    def ends(self, number: int | None = signal.SIGTERM) -> int:
        """Its exit status, after a signal."""
        if number is not None:
            self.send(number)
        end = time.monotonic() + PATIENCE
        while self._more():  # until every worker has closed its copy too
            assert time.monotonic() < end, self.log
        assert self.process.stderr is not None
        said = complaints(self.process.stderr.read().decode())
        assert said == "", said
        return self.process.wait()


class Client(socket.socket):
    """A connection to a worker."""

    def __init__(self, port: int) -> None:
        super().__init__()
        try:
            self.settimeout(PATIENCE)
            self.connect(("127.0.0.1", port))
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """The worker's; to be asked for once, first."""
        text = b""
        while not text.endswith(b"\n"):
            piece = self.recv(1)
            assert piece, "the connection was closed before the worker told its pid"
            text += piece
        return int(text)

    def echoes(self, data: bytes = b"data") -> bool:
        self.sendall(data)
        received = b""
        while len(received) < len(data) and (piece := self.recv(65536)):
            received += piece
        return received == data


@pytest.fixture
def supervised() -> Iterator[Callable[..., Supervised]]:
    """Starts programs, and kills those that a test leaves running; their workers die with them."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(program: str = DEFAULT, *arguments: str) -> Supervised:
        process = subprocess.Popen(
            [sys.executable, "-X", "dev", "-W", "error", "-c", PROLOGUE + textwrap.dedent(program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            preexec_fn=_heed_signals,
            env={name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"},
            cwd=CHECKOUT,
        )
        processes.append(process)
        return Supervised(process)

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


def _heed_signals() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job begins with it ignored
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # and what `nohup` starts with this


def until(predicate: Callable[[], object], what: str) -> None:
    """Waits for something that nobody tells of."""
    end = time.monotonic() + PATIENCE
    while not predicate():
        assert time.monotonic() < end, f"after {PATIENCE:g} seconds still not: {what}"
        time.sleep(0.01)


def state(pid: int) -> str:
    """What the system says that a process does: "S" while it waits."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def gone(pid: int) -> bool:
    """Whether a process has ended, even if nobody has waited for it yet."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return state(pid) == "Z"
    return True


def descriptors(pid: int) -> list[str]:
    """What a process has open beyond its standard streams."""
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            if int(name) > 2:
                found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return sorted(found)


def serves_who_waits_at_the_end(it: Supervised) -> None:
    """Those who have connected, and whom its only worker has not accepted yet."""
    pid = it.started()
    os.kill(pid, signal.SIGSTOP)
    clients = [it.connect() for _ in range(40)]
    it.send(signal.SIGTERM)
    it.line("the workers are told to end")
    os.kill(pid, signal.SIGCONT)
    for client in clients:
        assert client.pid == pid
        assert client.echoes()
        client.close()
    assert it.ends(None) == 0


def answer(port, seconds=0.2):
    """The pid of who answers; None where it takes longer than that, as in the queue of a dead worker."""
    with Client(port) as client:
        client.settimeout(seconds)
        try:
            return client.pid
        except TimeoutError:
            return None


def age(pid):
    """Seconds since a process was started."""
    with open("/proc/uptime") as uptime, open(f"/proc/{pid}/stat") as stat:
        ticks = int(stat.read().rpartition(")")[2].split()[19])
        return float(uptime.read().split()[0]) - ticks / os.sysconf("SC_CLK_TCK")


def refused(port):
    try:
        Client(port).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return True
    return False

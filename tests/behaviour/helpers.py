"""What the tests of servers and sockets share: plain sockets as peers, and waiting for events without timing."""

from __future__ import annotations

import contextlib
import inspect
import os
import random
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from serversocket import Event, Reactor, ServerSocket, Socket
from serversocket.loop.reactor import current_reactor

CHECKOUT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds for what has to happen: a hang takes longer, and so does no machine that is only slow
EVENTS = ("connect", "socketData", "outputProgress", "ioError", "securityError", "close")
FAMILIES = [pytest.param("127.0.0.1", id="ipv4"), pytest.param("::1", id="ipv6")]
LINUX = sys.platform == "linux"
on_linux = pytest.mark.skipif(not LINUX, reason="needs what only Linux has")
on_posix = pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX")


def run_until(reactor: Reactor, predicate: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Polls until the predicate holds; fails with its source if it does not."""
    end = time.monotonic() + seconds
    while not predicate():
        if time.monotonic() > end:
            try:
                wanted = inspect.getsource(predicate).strip()
            except (OSError, TypeError):
                wanted = repr(predicate)
            pytest.fail(f"after {seconds:g} seconds this does not hold: {wanted}")
        reactor.poll(0.02)


class TooLate(Exception):
    """The machine was too slow for a test to act in time: what followed shows nothing."""


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """Raises `TooLate` where the block takes longer."""
    end = time.monotonic() + seconds
    try:
        yield
    finally:
        if time.monotonic() > end:
            raise TooLate


def in_time(attempt: Callable[[float], None]) -> None:
    """For what has to be done in a certain time: tries with a tenth of a second, and on a slow machine with more."""
    for seconds in (0.1, 0.4, 1.6, 6.4):
        with contextlib.suppress(TooLate):
            return attempt(seconds)
    attempt(25.6)


def settle(reactor: Reactor) -> None:
    """Polls until nothing is ready any more; fails if that never happens, for then the reactor spins."""
    quiet = 0
    for _ in range(1000):
        quiet = 0 if reactor.poll(0) else quiet + 1
        if quiet == 3:
            return
    pytest.fail("the reactor spins: poll(0) has work in every one of 1000 turns")


class Log:
    """Listens to the events of a source and notes them, and reads what arrives unless told not to."""

    def __init__(self, source: Socket | ServerSocket, *, reading: bool = True, types: tuple[str, ...] = EVENTS) -> None:
        self.events: list[Event] = []
        self.data = bytearray()
        self.reading = reading
        for type in types:
            source.add_event_listener(type, self.note)

    def note(self, event: Event) -> None:
        self.events.append(event)
        if event.type == "socketData" and self.reading:
            self.data += event.target.read()

    @property
    def types(self) -> list[str]:
        """The types of the events in their order, a run of equal ones as one."""
        types = [event.type for event in self.events]
        return [type for index, type in enumerate(types) if index == 0 or types[index - 1] != type]

    def of(self, type: str) -> list[Event]:
        return [event for event in self.events if event.type == type]

    def count(self, type: str) -> int:
        return len(self.of(type))


def readable(*descriptors: int) -> None:
    """Waits until there is something to read from each of them."""
    for descriptor in descriptors:
        assert select.select([descriptor], [], [], PATIENCE)[0]


def family_of(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def connect_to(host: str, port: int) -> socket.socket:
    """A plain, blocking client that gives up after a while."""
    return socket.create_connection((host, port), timeout=PATIENCE)


def reset(peer: socket.socket) -> None:
    """Closes a plain socket with an RST."""
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.close()


def receive_all(reactor: Reactor, peer: socket.socket, seconds: float = PATIENCE) -> bytes:
    """What a plain socket receives until the end of its stream, while the reactor runs."""
    received = bytearray()
    peer.setblocking(False)
    over = False

    def ended() -> bool:
        nonlocal over
        with contextlib.suppress(BlockingIOError):
            while not over:
                chunk = peer.recv(262144)
                over = not chunk
                received.extend(chunk)
        return over

    run_until(reactor, ended, seconds)
    peer.settimeout(PATIENCE)
    return bytes(received)


def receive_exactly(reactor: Reactor, peer: socket.socket, size: int, seconds: float = PATIENCE) -> bytes:
    """So many bytes as a plain socket receives them while the reactor runs."""
    received = bytearray()
    peer.setblocking(False)

    def complete() -> bool:
        with contextlib.suppress(BlockingIOError):
            while len(received) < size:
                chunk = peer.recv(min(262144, size - len(received)))
                assert chunk, f"the stream ended after {len(received)} bytes of {size}"
                received.extend(chunk)
        return len(received) >= size

    run_until(reactor, complete, seconds)
    peer.settimeout(PATIENCE)
    return bytes(received)


def ended(peer: socket.socket) -> bool:
    """Whether a plain socket sees the end of its stream, without waiting; an RST counts."""
    peer.setblocking(False)
    try:
        return peer.recv(1) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True
    finally:
        peer.settimeout(PATIENCE)


def send_all(reactor: Reactor, peer: socket.socket, data: bytes) -> None:
    """Sends all of it from a plain socket while the reactor runs."""
    rest = memoryview(data)
    peer.setblocking(False)

    def sent() -> bool:
        nonlocal rest
        with contextlib.suppress(BlockingIOError):
            while rest:
                rest = rest[peer.send(rest) :]
        return not rest

    run_until(reactor, sent)
    peer.settimeout(PATIENCE)


class Connection:
    """A connection that a server has accepted, and its plain peer."""

    def __init__(self, reactor: Reactor, accepted: Socket, peer: socket.socket, log: Log) -> None:
        self.reactor = reactor
        self.socket = accepted
        self.peer = peer
        self.log = log

    def until(self, predicate: Callable[[], object]) -> None:
        run_until(self.reactor, predicate)

    def until_event(self, type: str) -> None:
        run_until(self.reactor, lambda: self.log.count(type) or self.log.types == f"waiting for {type}")


@contextlib.contextmanager
def listening(host: str = "127.0.0.1", backlog: int = 0, **options: object) -> Iterator[ServerSocket]:
    """A server that listens, and is closed in the end if it is open then."""
    with ServerSocket(**options) as server:
        server.bind(0, host)
        server.listen(backlog)
        yield server


@contextlib.contextmanager
def connection(
    host: str = "127.0.0.1",
    *,
    reading: bool = True,
    types: tuple[str, ...] = EVENTS,
    receive_buffer: int = 0,
    admission: Callable[[Socket], object] | None = None,
) -> Iterator[Connection]:
    """An accepted connection whose events are noted; both ends are closed in the end."""
    reactor = current_reactor()
    accepted: list[tuple[Socket, Log]] = []
    with listening(host) as server:
        server._admission = admission
        server.add_event_listener(
            "connect",
            lambda event: accepted.append((event.socket, Log(event.socket, reading=reading, types=types))),
        )
        peer = socket.socket(family_of(host))
        if receive_buffer:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        peer.settimeout(PATIENCE)
        peer.connect((host, server.local_port))
        run_until(reactor, lambda: accepted)
    with peer:
        it, log = accepted.pop()
        with it:
            yield Connection(reactor, it, peer, log)
    if not reactor.closed:
        reactor.poll(0)  # what was still on its way to the peer has kept the descriptor


# ---- the states in which an open connection can be, as steps that lead there


def open_as_ever(it: Connection) -> None: ...


def paused(it: Connection) -> None:
    it.socket.pause()


def half_open(it: Connection) -> None:
    """The peer has ended its output, and the program goes on."""
    it.socket.allow_half_open = True
    it.peer.shutdown(socket.SHUT_WR)
    it.until(lambda: it.socket.input_ended)


class Dialled:
    """A socket that connects, and the plain listener that it connects to."""

    def __init__(self, reactor: Reactor, dialling: Socket, listener: socket.socket, log: Log) -> None:
        self.reactor = reactor
        self.socket = dialling
        self.listener = listener
        self.port: int = listener.getsockname()[1]
        self.log = log

    def until(self, predicate: Callable[[], object]) -> None:
        run_until(self.reactor, predicate)

    def accept(self) -> socket.socket:
        """The other end, once the socket is connected."""
        self.until(lambda: self.socket.connected)
        peer = self.listener.accept()[0]
        peer.settimeout(PATIENCE)
        return peer


@contextlib.contextmanager
def dialling(host: str = "127.0.0.1", *, reading: bool = True) -> Iterator[Dialled]:
    """A fresh socket and a plain listener for it to connect to."""
    with socket.create_server((host, 0), family=family_of(host)) as listener, Socket() as it:
        listener.settimeout(PATIENCE)
        yield Dialled(current_reactor(), it, listener, Log(it, reading=reading))


def unused_port(host: str = "127.0.0.1") -> int:
    """A port that nobody has: below those that the system gives to who asks for any, so nobody gets it meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        lowest = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        while lowest > 10_000:
            port = random.SystemRandom().randrange(5_000, lowest)
            with contextlib.suppress(OSError), socket.socket(family_of(host)) as probe:
                probe.bind((host, port))
                return port
    with socket.socket(family_of(host)) as probe:
        probe.bind((host, 0))
        found: int = probe.getsockname()[1]
        return found


def open_descriptors() -> set[int]:
    """What is open in this process, without the descriptor that the listing itself uses."""
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            os.fstat(int(name))
            found.add(int(name))
    return found


@contextlib.contextmanager
def descriptors(wanted: int) -> Iterator[None]:
    """Allows this process so many descriptors, or skips the test where the system does not."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"needs {wanted} descriptors")
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextlib.contextmanager
def storm_of_signals(handler: Callable[[int, object], object]) -> Iterator[None]:
    """A signal every millisecond."""
    previous = signal.signal(signal.SIGALRM, handler)
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        time.sleep(0.05)  # under valgrind the last one may still be on its way
        signal.signal(signal.SIGALRM, previous)


def pattern(size: int) -> bytes:
    """Bytes of which any two places differ: a loss, a doubling or an exchange shows."""
    return b"".join(number.to_bytes(4, "big") for number in range(size // 4 + 1))[:size]


def python(program: str, *arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    """Runs a program in an interpreter of its own, with the same engine; it has to end well and in silence."""
    environment = {**os.environ, "PYTHONFAULTHANDLER": "1", "PYTHONUNBUFFERED": "1"}
    result = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", textwrap.dedent(program), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        cwd=CHECKOUT,  # coverage finds the parts of the native engine from there
        **options,
    )
    assert result.returncode == 0, f"exit status {result.returncode}\n{result.stdout}\n{result.stderr}"
    assert complaints(result.stderr) == "", result.stderr
    return result


def complaints(said: str) -> str:
    """What a program has said, but for asyncio's remarks that the machine is slow."""
    return re.sub(r"^Executing .* took [0-9.]+ seconds\n", "", said, flags=re.MULTILINE)

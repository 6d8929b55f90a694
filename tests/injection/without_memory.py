"""Lets memory run out at every allocation of a step, in turn, and looks whether all is well afterwards.

    python without_memory.py STEP...

For each number of allocations that succeed, the next one fails, or a few, or many; the sweep ends when the step needs
no more. `MemoryError` may reach whoever called, and a connection may break; nothing may crash, hang, be left open, or
be wrong. Then all of it comes a second time, after which the process holds as many objects and blocks of memory as
before.

Where the engine is Python code, every line of it may fail, and what the step was about is not looked at: the next
client is served, and nothing is left open. Nor is memory: CPython loses what a function's variables refer to when it
finds no memory for the traceback.
"""

from __future__ import annotations

import _testcapi
import contextlib
import errno
import gc
import logging
import socket
import sys
import time
import traceback
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from descriptors import descriptors
from peer import pattern

from serversocket import Event, Reactor, ServerSocket, Socket, implementation

NATIVE = implementation == "native"
PATIENCE = 5.0
ENOUGH = 5_000  # allocations, for any step
MARGIN = 10  # what was made once may be needed anew
COUNTS = 9  # blocks that the counts themselves take, at most; what one allocation that fails loses is three more
FAILURES = (1, 5, 60)  # never all: CPython 3.11 then unwinds in circles
MEDIUM = pattern(20_000)
LARGE = pattern(8_000_000)  # more than the system's buffers take
SIZE = 100_000  # of one piece
PAIRS = 100  # made to be used again: CPython crashes where it has no memory for the pair that `dict.items()` needs


class Stage:
    """A reactor with an echoing server, and what was heard of it."""

    def __init__(self) -> None:
        self.errors: list[str] = []  # not the errors: CPython has a few for when there is no memory, and needs them
        self.accepted: deque[Socket] = deque()  # CPython's `list.append` loses count of what it has no memory for
        self.peers: list[socket.socket] = []
        self.reading = True
        self.reactor = Reactor()
        self.server = ServerSocket(reactor=self.reactor)
        self.server.add_event_listener("connect", self.connected)
        self.listen()

    def listen(self) -> None:
        if not self.server.bound:
            self.server.bind(0, "127.0.0.1")
        self.server.listen()

    def connected(self, event: Event) -> None:
        event.socket.add_event_listener("socketData", self.echo)
        self.listen_to(event.socket)
        self.accepted.append(event.socket)

    def listen_to(self, stream: Socket) -> None:
        stream.add_event_listener("ioError", self.broken)
        stream.add_event_listener("close", self.nothing)

    def echo(self, event: Event) -> None:
        if self.reading:
            event.target.write(event.target.read())

    def broken(self, event: Any) -> None:
        assert event.errno in (errno.ENOMEM, errno.ECONNRESET, errno.EPIPE), event

    def nothing(self, event: Event) -> None:
        pass

    def dial(self) -> socket.socket:
        """A plain client."""
        client = socket.create_connection(("127.0.0.1", self.server.local_port), timeout=PATIENCE)
        self.peers.append(client)
        return client

    def connection(self) -> tuple[Socket, socket.socket]:
        """An accepted socket and its client."""
        client = self.dial()
        self.until(lambda: self.accepted)
        return self.accepted[-1], client

    def until(self, over: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE
        while not over():
            assert time.monotonic() < end, f"waits for ever; errors: {self.errors}"
            self.reactor.poll(0.01)

    def turns(self) -> None:
        for _ in range(3):
            self.reactor.poll(0)

    def exchange(self, client: socket.socket, skip: int = 0) -> bool:
        """Whether a client is answered; else its connection has ended. `skip` bytes may come before the answer."""
        question = b"question"
        answer = bytearray()
        client.settimeout(PATIENCE)
        over = False
        try:
            client.sendall(question)
            client.setblocking(False)
            end = time.monotonic() + PATIENCE
            while not over and not answer.endswith(question):
                assert time.monotonic() < end, f"neither answers nor ends; errors: {self.errors}"
                self.reactor.poll(0.002)
                with contextlib.suppress(BlockingIOError):
                    chunk = client.recv(1_000_000)
                    over = not chunk
                    answer += chunk
        except (ConnectionResetError, BrokenPipeError):
            over = True
        assert over or len(answer) <= skip + len(question)
        return not over

    def close(self) -> None:
        for client in self.peers:
            client.close()
        if self.server.bound:
            self.server.close()
        self.reactor.close()


# Each step prepares, and returns what is then done without memory, and what must hold afterwards.
Prepared = tuple[Callable[[], object], Callable[[], object]]


def accepting(stage: Stage) -> Prepared:
    clients = [stage.dial(), stage.dial()]
    return stage.turns, lambda: [stage.exchange(client) for client in clients]


def reading(stage: Stage) -> Prepared:
    _, client = stage.connection()
    client.sendall(MEDIUM)
    return stage.turns, lambda: stage.exchange(client, len(MEDIUM))


def keeping(stage: Stage, before: int = 0) -> Prepared:
    """Input that nobody reads, the first part of it before memory runs out."""
    stream, client = stage.connection()
    stage.reading = False
    client.sendall(MEDIUM[:before])
    stage.turns()
    client.sendall(MEDIUM[before:])

    def after() -> None:
        stage.turns()
        kept = stream.read()
        assert MEDIUM.startswith(kept), "other bytes than were sent"
        assert not stream.connected or kept == MEDIUM, "bytes are missing"
        stage.reading = True
        stage.exchange(client)

    return stage.turns, after


def keeping_more(stage: Stage) -> Prepared:
    return keeping(stage, 5000)


def writing(stage: Stage) -> Prepared:
    stream, client = stage.connection()
    some = bytearray(MEDIUM)

    def act() -> None:
        stream.write(b"a")
        stream.write(b"b")
        stream.write(some)
        stream.write(MEDIUM)
        stream.flush()
        stage.turns()

    return act, lambda: stage.exchange(client, 2 + 2 * len(MEDIUM))


def waiting_to_write(stage: Stage) -> Prepared:
    stream, client = stage.connection()
    stream.add_event_listener("outputProgress", stage.nothing)

    def act() -> None:
        stream.write(LARGE)
        stage.turns()
        client.recv(1_000_000)
        stage.turns()

    return act, lambda: stage.exchange(client, len(LARGE))


def writing_many(stage: Stage) -> Prepared:
    """So many pieces that the system takes some of them at a time."""
    stream, client = stage.connection()
    for start in range(0, len(LARGE), SIZE):
        stream.write(LARGE[start : start + SIZE])
    stream.flush()
    received = bytearray()
    client.setblocking(False)

    def receive() -> bool:
        with contextlib.suppress(BlockingIOError):
            while len(received) < len(LARGE):
                received.extend(client.recv(1_000_000) or b"the end")
        return len(received) >= len(LARGE)

    def after() -> None:
        stage.until(receive)
        assert received == LARGE, "other bytes than were written"
        assert stage.exchange(client)

    receive()
    return stage.turns, after


def closing(stage: Stage) -> Prepared:
    """With output that the system does not take yet."""
    stream, client = stage.connection()
    stream.write(LARGE)
    stream.flush()
    stream.write(MEDIUM)

    def act() -> None:
        stream.close()
        stage.turns()

    return act, lambda: ended(stage, stream, client)


def closing_with_input(stage: Stage) -> Prepared:
    """With input that is not read yet, which makes the system reset the connection."""
    stream, client = stage.connection()
    stage.reading = False
    stream.write(MEDIUM)
    stream.flush()
    client.sendall(MEDIUM)

    def act() -> None:
        stream.close()
        stage.turns()

    return act, lambda: ended(stage, stream, client)


def aborting(stage: Stage) -> Prepared:
    stream, client = stage.connection()
    return stream.abort, lambda: ended(stage, stream, client)


def ended(stage: Stage, stream: Socket, client: socket.socket) -> None:
    """A close that failed can be done again; then the client comes to the end of the stream."""
    stage.reading = True
    if stream.connected:
        stream.close()
    client.setblocking(False)
    over: list[bool] = []

    def at_the_end() -> bool:
        try:
            while client.recv(1_000_000):
                pass
            over.append(True)
            client.close()
        except BlockingIOError:
            pass
        except ConnectionResetError:
            over.append(True)
        return bool(over)

    stage.until(at_the_end)


def peer_closing(stage: Stage) -> Prepared:
    stream, client = stage.connection()
    stream.write(MEDIUM)
    client.shutdown(socket.SHUT_WR)
    return stage.turns, lambda: stage.until(lambda: not stream.connected)


def peer_resetting(stage: Stage) -> Prepared:
    stream, client = stage.connection()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    client.close()
    return stage.turns, lambda: stage.until(lambda: not stream.connected)


def connecting(stage: Stage) -> Prepared:
    told: list[str] = []
    stream = Socket(reactor=stage.reactor)
    stream.timeout = 1000
    for type in ("connect", "ioError", "close"):
        stream.add_event_listener(type, lambda event: told.append(event.type))
    port = stage.server.local_port

    def act() -> None:
        stream.connect("127.0.0.1", port)
        stage.turns()

    def after() -> None:
        stage.until(lambda: stream.connected or not stream._opened)
        if stream.connected:
            stream.close()

    return act, after


def scheduling(stage: Stage) -> Prepared:
    rang: list[int] = []

    def act() -> None:
        stage.reactor.call_later(0, rang.append, 1)
        handle = stage.reactor.call_later(0, rang.append, 2)
        stage.reactor.call_soon_threadsafe(rang.append, 3)
        handle.cancel()
        stage.turns()

    def after() -> None:
        assert len(rang) == len(set(rang)), f"called twice: {rang}"

    return act, after


def dispatching(stage: Stage) -> Prepared:
    heard: list[int] = []

    def late(event: Event) -> None:
        heard.append(3)

    stage.server.add_event_listener("x", lambda event: heard.append(1))

    def act() -> None:
        stage.server.add_event_listener("x", lambda event: heard.append(2), priority=1)
        stage.server.add_event_listener("x", late, use_weak_reference=True)
        stage.server.dispatch_event(Event("x"))
        stage.server.remove_event_listener("x", late)

    def after() -> None:
        heard.clear()
        stage.server.dispatch_event(Event("x"))
        assert heard.count(1) == 1, heard

    return act, after


def listening(stage: Stage) -> Prepared:
    server = ServerSocket(reactor=stage.reactor)
    server.add_event_listener("connect", stage.connected)

    def act() -> None:
        server.bind(0, "127.0.0.1")
        server.listen()

    def after() -> None:
        if not server.bound:
            server.bind(0, "127.0.0.1")
        if not server.listening:
            server.listen()
        server.close()

    return act, after


def closing_the_server(stage: Stage) -> Prepared:
    stage.dial()

    def after() -> None:
        if stage.server.bound:
            stage.server.close()
        stage.listen()

    return stage.server.close, after


def making_a_reactor(stage: Stage) -> Prepared:
    made: list[Reactor] = []

    def act() -> None:
        made.append(Reactor())
        if NATIVE:
            made[0].fileno()  # on pure a thread, and CPython waits for ever for one that finds no memory
        made[0].call_later(10, stage.nothing, None)
        made[0].poll(0)

    return act, lambda: [reactor.close() for reactor in made]


# On pure alone: CPython's `socket.accept` loses the descriptor of which it could make no object, and so does a reactor
# that could not be made, where there is no memory for its `__del__` either; and CPython may lose the error itself.
LOSING = () if NATIVE else (accepting, connecting, making_a_reactor)
THREADS = ('RuntimeError("can\'t allocate lock")', 'RuntimeError("can\'t start new thread")')
ERRORS = ("MemoryError(",) if NATIVE else ("MemoryError(", "SystemError(", *THREADS)

STEPS = {
    step.__name__: step
    for step in (
        accepting,
        reading,
        keeping,
        keeping_more,
        writing,
        waiting_to_write,
        writing_many,
        closing,
        closing_with_input,
        aborting,
        peer_closing,
        peer_resetting,
        connecting,
        scheduling,
        dispatching,
        listening,
        closing_the_server,
        making_a_reactor,
    )
}


def kept() -> Counter[str]:
    """What this process holds: objects of the package by class, and blocks of the interpreter's memory."""
    gc.collect()
    classes = [type(it) for it in gc.get_objects()]
    found = Counter(each.__name__ for each in classes if str(each.__module__).startswith("serversocket"))
    found["blocks"] = sys.getallocatedblocks()
    return found


class Sweep:
    """All the failures of one step."""

    def __init__(self, step: Callable[[Stage], Prepared]) -> None:
        self.step = step
        self.cases = 0
        self.surfaced = 0

    def run(self) -> None:
        self.all_cases()  # what is made once is made
        if NATIVE:
            before = kept()
            self.all_cases()
            more = kept()
            more.subtract(before)
            assert more.pop("blocks") <= COUNTS, "memory is lost"
            assert not any(more.values()), f"objects are lost: {more}"

    def all_cases(self) -> None:
        self.case(ENOUGH, 1)
        needed = self.case(ENOUGH, 1)
        for successes in range(needed + MARGIN):
            for failures in FAILURES:
                self.case(successes, failures)
                self.cases += 1

    def case(self, successes: int, failures: int) -> int:
        """So many allocations succeed in the step, and so many that follow fail; how many there were, if none did."""
        before = descriptors()
        stage = Stage()
        handler.errors = stage.errors
        try:
            act, after = self.step(stage)
            needed = starve(act, stage.errors, successes, failures)
            if NATIVE:
                after()
            elif not stage.server.listening:
                stage.listen()
            stage.reading = True
            assert stage.exchange(stage.dial()), f"the next client is not served; errors: {stage.errors}"
            stage.close()
            wrong = [error for error in stage.errors if not error.startswith(ERRORS)]
            assert not wrong, f"other errors than of memory: {wrong}"
        except BaseException:
            print(f"{successes} allocations succeed, {failures} fail", flush=True)
            raise
        self.surfaced += bool(stage.errors)
        act = after = None  # type: ignore[assignment]
        del stage
        handler.errors = []
        if descriptors() != before:
            gc.collect()
        left = {} if self.step in LOSING else {n: what for n, what in descriptors().items() if n not in before}
        assert not left, f"{successes} allocations succeed, {failures} fail: left open: {left}"
        return needed


def starve(act: Callable[[], object], errors: list[str], successes: int, failures: int) -> int:
    more = iter(bytes(ENOUGH))
    list(zip(range(PAIRS), range(PAIRS), strict=True))
    try:
        _testcapi.set_nomemory(successes, successes + failures)
        act()
        for _ in more:
            bytes(100)  # one allocation
    except BaseException as error:
        _testcapi.remove_mem_hooks()
        if more.__length_hint__() == ENOUGH:
            errors.append(repr(error))
    finally:
        _testcapi.remove_mem_hooks()
    return successes - (ENOUGH - more.__length_hint__())


class Handler(logging.Handler):
    """Keeps the errors that were logged."""

    errors: list[str]

    def emit(self, record: logging.LogRecord) -> None:
        assert record.exc_info
        self.errors.append(repr(record.exc_info[1]))


handler = Handler()


def main(*names: str) -> int:
    logger = logging.getLogger("serversocket")
    logger.addHandler(handler)
    logger.propagate = False
    gc.collect()
    gc.freeze()
    for name in names:
        sweep = Sweep(STEPS[name])
        try:
            sweep.run()
        except Exception:
            print(f"{name}: {traceback.format_exc()}")
            return 1
        print(f"{name}: {sweep.cases} cases, MemoryError seen in {sweep.surfaced}")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

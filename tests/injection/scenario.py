"""All that a server does, step by step, while system calls fail, and what must be true afterwards.

A fault may break the connection that it hits, and nothing else. Errors are those of the fault, and reach the program as
exceptions of its calls or as events; whatever fails can be tried again; nothing waits for ever, spins, or is left open.
"""

from __future__ import annotations

import contextlib
import errno
import os
import select
import socket as system
import time
from collections.abc import Callable, Collection
from functools import partial
from typing import Any

import shim
from peer import GIFT, LARGE_MESSAGE, Peer

from serversocket import Event, IOErrorEvent, Reactor, ServerSocket, Socket

PEERS = {errno.ECONNRESET, errno.EPIPE}  # errors that a peer may cause by itself
PATIENCE = 60.0  # seconds; less than the peer's, which would take the same for silence
TRIES = 20
LAST = 5
KINDS = ("echoed", "given", "asked too much", "aborted", "resetting")
SEND_BUFFER = 32_768  # so that a large message has to wait for its receiver
SO_TIMESTAMPING = 37
WHEN_IT_IS_SENT = 1 << 1 | 1 << 4  # a timestamp, in the error queue
IDLE_TURNS = 200  # without anything to do, although the descriptor was readable


class Scenario:
    """A reactor with a server that talks to the peer.

    Args:
        peer: The other side.
        expected: Numbers of the errors that the program may be told of, beside those that a peer causes.
        hosted: Whether another loop hosts the reactor; else it waits by itself.
    """

    def __init__(self, peer: Peer, expected: Collection[int], *, hosted: bool) -> None:
        self.peer = peer
        self.expected = expected
        self.hosted = hosted
        self.told: list[str] = []
        self.unexpected: list[str] = []
        self.idle_turns = 0
        self.reactor: Reactor = self.tried(Reactor)
        self.reactor.add_event_listener("uncaughtError", lambda event: self.note(event.error))
        if hosted:
            self.tried(self.reactor.fileno)
        self.server = self.listening()

    # ---- errors

    def note(self, error: BaseException) -> None:
        """Takes an error that the program is told."""
        if isinstance(error, OSError) and error.errno in self.expected:
            self.told.append(repr(error))
        else:
            self.unexpected.append(repr(error))

    def broken(self, event: IOErrorEvent) -> None:
        """Takes an ioError event."""
        if event.error_id not in (2002, 2031) or event.errno not in {*self.expected, *PEERS}:
            self.unexpected.append(str(event))
        elif event.errno not in PEERS:
            self.told.append(event.text)

    def tried(self, call: Callable[..., Any], *arguments: object) -> Any:
        """Calls until it succeeds."""
        for _ in range(TRIES):
            try:
                return call(*arguments)
            except OSError as error:
                self.note(error)
        raise AssertionError(f"{call} fails without end: {self.told}")

    # ---- the loop

    def turn(self) -> None:
        if not self.hosted:
            self.reactor.poll(0.002)
            return
        ready = select.select([self.reactor, self.peer], [], [], 1)[0]
        if not self.reactor.poll(0) and self.reactor in ready:
            self.idle_turns += 1

    def until(self, over: Callable[[], object], seconds: float = PATIENCE) -> None:
        end = time.monotonic() + seconds
        while not over():
            assert time.monotonic() < end, f"waits for ever: {self}"
            self.tried(self.turn)

    def settle(self) -> None:
        """Fails if the reactor does not come to rest while nothing happens."""
        quiet = 0
        for _ in range(1000):
            # A host looks whether there is work: the last of the peers' may come late, and is handled then.
            ready = self.hosted and select.select([self.reactor], [], [], 0)[0]
            handled = self.tried(self.reactor.poll, 0)
            if ready and not handled:
                self.idle_turns += 1
            quiet = 0 if ready or handled else quiet + 1
            if quiet == 3:
                break
        assert quiet == 3, f"spins: {self}"

    # ---- the server

    def listening(self) -> ServerSocket:
        server = ServerSocket(reactor=self.reactor)
        self.was_closed = False
        self.tried(server.add_event_listener, "connect", self.connected)
        server.add_event_listener("ioError", self.broken)
        server.add_event_listener("close", self.closed_by_the_system)
        self.tried(server.bind, 0, "127.0.0.1")
        shim.set_option(server.fileno(), system.SO_SNDBUF, SEND_BUFFER)  # its connections inherit it
        self.tried(server.listen)
        return server

    def closed_by_the_system(self, event: Event) -> None:
        self.told.append(str(event))
        self.was_closed = not event.target.bound

    def connected(self, event: Event) -> None:
        socket = event.socket
        socket.add_event_listener("ioError", self.broken)
        socket.add_event_listener("close", lambda event: None)
        socket.add_event_listener("socketData", self.asked)

    def asked(self, event: Event) -> None:
        """The first message tells what the client wants."""
        socket = event.target
        socket.remove_event_listener("socketData", self.asked)
        wish = socket.peek(1)
        if wish == b"A":
            socket.abort()
        elif wish == b"G":
            socket.read(1)
            socket.write(GIFT[:100])
            socket.write(GIFT[100:])
            socket.close()
        else:
            socket.add_event_listener("socketData", self.echo)
            socket.add_event_listener("outputProgress", lambda event: None)
            self.echo(event)

    def echo(self, event: Event) -> None:
        data = event.target.read()
        event.target.write(data[:5000])
        event.target.write(data[5000:])

    # ---- steps

    def serve(self, kind: str, count: int = 1) -> dict[str, int]:
        """Serves clients of one kind; how they ended."""
        if not self.server.listening:
            assert self.was_closed, "the server has stopped to listen, and nobody was told"
            self.server = self.listening()
        self.peer.begin(kind, self.server.local_port, count)
        outcomes: list[dict[str, int]] = []

        def answered() -> bool:
            answer = self.peer.outcomes()
            if answer is not None:
                outcomes.append(answer)
            return answer is not None

        self.until(answered, PATIENCE + count)
        return outcomes[0]

    def dial(self) -> str:
        """Connects to the peer and has a large message echoed, in pieces; how it ended, as of the peer's clients."""
        outcomes = []
        received = bytearray()
        socket = Socket(reactor=self.reactor)

        def speak(event: Event) -> None:
            for start in range(0, len(LARGE_MESSAGE), 50_000):
                socket.write(LARGE_MESSAGE[start : start + 50_000])
            socket.flush()

        def hear(event: Event) -> None:
            received.extend(socket.read())
            if len(received) == len(LARGE_MESSAGE):
                outcomes.append("complete" if received == LARGE_MESSAGE else "wrong")
                socket.close()

        def failed(event: Event) -> None:
            self.broken(event)
            outcomes.append("broken")

        socket.tcp_no_delay = True
        socket.add_event_listener("connect", speak)
        socket.add_event_listener("socketData", hear)
        socket.add_event_listener("ioError", failed)
        socket.add_event_listener("close", lambda event: outcomes.append("broken"))
        self.tried(partial(socket.connect, local_address="127.0.0.1"), "127.0.0.1", self.peer.port)
        self.until(lambda: outcomes)
        if socket.connected:
            socket.close()
        return outcomes[0]

    def wait(self) -> None:
        """A timer, a call, and a run."""
        rang: list[int] = []
        self.tried(self.reactor.call_later, 0.001, rang.append, 1)
        self.tried(self.reactor.call_soon_threadsafe, rang.append, 2)
        self.until(lambda: sorted(rang) == [1, 2])
        for _ in range(TRIES):
            self.reactor.call_soon_threadsafe(self.reactor.stop)
            try:
                self.reactor.run()
                break
            except OSError as error:
                self.note(error)
        else:
            raise AssertionError("run() fails without end")

    def dialled(self, *expected: int) -> Socket | None:
        """A socket that is connected to the peer, and may break in these ways too; or else it could not be."""
        outcomes: list[Event] = []
        socket = Socket(reactor=self.reactor)
        socket.add_event_listener("connect", outcomes.append)
        socket.add_event_listener("ioError", outcomes.append)
        socket.add_event_listener("ioError", lambda event: event.errno in expected or self.broken(event))
        socket.add_event_listener("close", outcomes.append)
        socket.add_event_listener("socketData", lambda event: event.target.read())
        self.tried(socket.connect, "127.0.0.1", self.peer.port)
        self.until(lambda: outcomes)
        return socket if socket.connected else None

    def time_out(self) -> None:
        """The peer is idle for too long."""
        if socket := self.dialled(errno.ETIMEDOUT):
            self.tried(setattr, socket, "idle_timeout", 0.001)
            self.until(lambda: not socket.connected)

    def ask_when_it_is_sent(self) -> None:
        """The system answers in the error queue, which is to be emptied."""
        if socket := self.dialled():
            shim.set_option(socket.fileno(), SO_TIMESTAMPING, WHEN_IT_IS_SENT)
            heard: list[Event] = []
            socket.add_event_listener("socketData", heard.append)
            socket.write(b"when?")
            self.until(lambda: heard or not socket.connected)
            self.settle()
            if socket.connected:
                socket.close()

    def lose_a_descriptor(self) -> None:
        """Somebody closes it while a duplicate lives, and the system goes on reporting it."""
        if socket := self.dialled(errno.EBADF):
            duplicate = os.dup(socket.fileno())
            socket.write(b"to the duplicate")
            socket.flush()
            with contextlib.suppress(OSError):
                os.close(socket.fileno())
            select.select([duplicate], [], [], PATIENCE)
            self.until(lambda: not socket.connected)
            self.settle()
            with contextlib.suppress(OSError):
                os.close(duplicate)

    def bind_another(self) -> None:
        """A second server, closed again."""
        with ServerSocket(reactor=self.reactor) as other:
            self.tried(other.bind, 0, "127.0.0.1")
            self.tried(other.listen, 5)

    def all_steps(self) -> None:
        self.bind_another()
        self.wait()
        for kind in KINDS:
            self.accept(kind, self.serve(kind))
        self.accept("dial", {self.dial(): 1})
        self.time_out()
        self.ask_when_it_is_sent()
        self.lose_a_descriptor()

    def accept(self, what: str, outcomes: dict[str, int]) -> None:
        """A connection may break; it neither hangs nor carries anything wrong."""
        assert set(outcomes) <= {"complete", "broken"}, f"{what}: {outcomes}: {self}"

    def verify(self) -> None:
        """Without faults: the next clients are served completely, and the program is told of nothing."""
        self.settle()
        told = len(self.told)
        for kind in ("echoed", "given"):
            outcomes = self.serve(kind)
            assert outcomes == {"complete": 1}, f"{kind}: {outcomes}: {self}"
        outcome = self.dial()
        assert outcome == "complete", f"dial: {outcome}: {self}"
        self.settle()
        assert len(self.told) == told, self

    def close(self) -> None:
        """Closes everything; the fault may be in here, too."""
        if self.server.bound:
            self.tried(self.server.close)
        self.tried(self.reactor.close)
        assert not self.unexpected, self
        assert self.idle_turns < IDLE_TURNS, f"spins: {self}"

    def __repr__(self) -> str:
        last = self.told[-LAST:]
        return f"told last {last}, unexpected {self.unexpected[:LAST]}, {self.idle_turns} idle turns"

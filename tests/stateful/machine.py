"""Servers, connections and their peers, driven at random, beside a model that knows what has to come of it.

The laws of `model.Connection` hold after every step, and `come_to_rest` knows what must have arrived in the end.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import socket
import struct
import sys
from asyncio import CancelledError
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.errors import HypothesisException
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from serversocket import IOError, Reactor, ServerSocket, Socket

from ..behaviour.helpers import PATIENCE
from .model import PATTERN, Connection

RESET = struct.pack("ii", 1, 0)
MOST = 12  # connections at once
SIZES = st.one_of(st.integers(0, 100), st.sampled_from((4095, 4096, 8192, 65536, 65537, 200_000, 3_000_000)))

OWN_LIMIT, REACTOR_LIMIT = 2**28, 2**30  # as they are at first: more than a connection, and all of them, ever keep

#: How many rules were run in this process that had something to do.
executed = 0

#: True if one was broken by what it found.
broken = False

# When a rule has something to do.
any_open = precondition(lambda self: any(each.open for each in self.connections))
two_open = precondition(lambda self: sum(each.open for each in self.connections) > 1)
any_peer = precondition(lambda self: any(each.peer is not None for each in self.connections))
any_sender = precondition(lambda self: any(each.peer and not each.finished_there for each in self.connections))


class Machine(RuleBasedStateMachine):
    """All of them, on a reactor of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.reactor = Reactor()
        self.connections: list[Connection] = []
        self.expected: dict[int, Connection] = {}  # by the port of a client that is not accepted yet
        self.count = 0
        self.server: Any = None
        self.limited = False  # all connections, so that one of them may keep too much
        self.turned_away = 0  # clients, by max_connections
        self.raised: list[BaseException] = []  # by listeners
        self.contained: list[BaseException] = []  # of these, what came back as events
        self.reactor.add_event_listener("uncaughtError", lambda event: self.contained.append(event.error))
        self.listener = socket.create_server(("127.0.0.1", 0))

    @initialize()
    def begin(self) -> None:
        self.server = ServerSocket(reactor=self.reactor)
        self.server.add_event_listener("connect", self.accepted)
        self.open_server()

    def open_server(self) -> None:
        self.server.bind(0, "127.0.0.1")
        self.server.listen()

    def accepted(self, event: Any) -> None:
        connection = self.expected.pop(event.socket.remote_port)
        connection.adopt(event.socket)

    def turn(self, timeout: float = 0) -> int:
        """A turn of the reactor, which an interrupt that a listener has raised may leave."""
        expected = list(self.expected.values())
        handled, raised = 1, len(self.raised)
        try:
            handled = self.reactor.poll(timeout)
        except KeyboardInterrupt as error:
            interrupts = [error]
        else:
            interrupts = []
        assert [error for error in self.raised[raised:] if isinstance(error, KeyboardInterrupt)] == interrupts
        away, self.turned_away = self.server.turned_away - self.turned_away, self.server.turned_away
        self.go_away([each for each in expected if each.socket is None][:away], away)
        return handled

    def go_away(self, clients: list[Connection], count: int) -> None:
        """These were turned away: they came first, and no other client was told of them."""
        assert len(clients) == count
        assert not count or self.server.max_connections is not None
        for it in clients:
            self.expected = {port: each for port, each in self.expected.items() if each is not it}
            self.connections.remove(it)
            if it.peer is not None:
                it.peer.settimeout(PATIENCE)
                with it.peer, contextlib.suppress(ConnectionResetError):
                    assert it.peer.recv(1) == b""

    def poll(self, turns: int) -> int:
        return sum(self.turn() for _ in range(turns))

    def step(self) -> None:
        """Counts a rule, once it is sure that it does something."""
        global executed
        executed += 1

    def opened(self, data: Any, but: Connection | None = None) -> Connection:
        self.step()
        it: Connection = data.draw(
            st.sampled_from([each for each in self.connections if each.open and each is not but])
        )
        return it

    def with_peer(self, data: Any, *, sending: bool = False) -> tuple[Connection, socket.socket]:
        choice = [each for each in self.connections if each.peer is not None and not (sending and each.finished_there)]
        it: Connection = data.draw(st.sampled_from(choice))
        assert it.peer is not None
        return it, it.peer

    # ---- connections come

    @precondition(lambda self: self.server.listening and len(self.connections) < MOST)
    @rule()
    def a_client_connects(self) -> None:
        self.step()
        peer = socket.create_connection(("127.0.0.1", self.server.local_port), timeout=PATIENCE)
        peer.setblocking(False)
        self.count += 1
        connection = Connection(self.count, peer, self.raised)
        connection.limited = self.limited
        self.expected[peer.getsockname()[1]] = connection
        self.connections.append(connection)

    @precondition(lambda self: len(self.connections) < MOST)
    @rule()
    def the_program_connects(self) -> None:
        self.step()
        it = Socket(reactor=self.reactor)
        connected: list[Any] = []
        it.add_event_listener("connect", connected.append)
        it.connect(*self.listener.getsockname())
        peer = self.listener.accept()[0]
        peer.setblocking(False)
        while not connected:
            self.turn(PATIENCE)
        self.count += 1
        connection = Connection(self.count, peer, self.raised)
        connection.limited = self.limited
        connection.adopt(it)
        self.connections.append(connection)

    # ---- what peers do

    @any_sender
    @rule(data=st.data(), size=SIZES)
    def a_peer_sends(self, data: Any, size: int) -> None:
        it, peer = self.with_peer(data, sending=True)
        try:
            sent = peer.send(it.peer_pattern(size))
        except BlockingIOError:
            return
        except (BrokenPipeError, ConnectionResetError):
            it.reset_seen = True
            return
        if sent:
            self.step()
            it.sent += sent

    @any_peer
    @rule(data=st.data())
    def a_peer_reads(self, data: Any) -> None:
        if self.with_peer(data)[0].fetch():
            self.step()

    @any_sender
    @rule(data=st.data())
    def a_peer_says_that_it_is_done(self, data: Any) -> None:
        it, peer = self.with_peer(data, sending=True)
        self.step()
        it.finished_there = True
        try:
            peer.shutdown(socket.SHUT_WR)
        except OSError:
            it.reset_seen = True

    @any_peer
    @rule(data=st.data())
    def a_peer_resets(self, data: Any) -> None:
        it, peer = self.with_peer(data)
        self.step()
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        peer.close()
        it.peer, it.reset_there = None, True

    # ---- what the program does

    @any_open
    @rule(data=st.data(), size=SIZES, flush=st.booleans())
    def the_program_writes(self, data: Any, size: int, flush: bool) -> None:
        it = self.opened(data)
        content = it.our_pattern(size)
        if it.finished_here:
            with pytest.raises(IOError, match="write_eof was called"):
                it.socket.write(content)
            return
        room = it.socket.buffer_limit - it.socket.bytes_pending - it.socket.bytes_available
        fits = not content or len(content) <= room
        room_here = self.reactor.buffer_limit - self.reactor.bytes_kept
        try:
            it.written += it.socket.write(content)
        except IOError as refusal:
            error = refusal
        else:
            error = None
        if error is None:
            assert fits or it.refused
        else:
            assert (error.errno, "buffer_limit" in str(error)) == (errno.ENOBUFS, True)
            assert not fits or len(content) > room_here, "refused without need"
            it.refused = it.limited = True
        if flush:
            it.socket.flush()

    @any_open
    @rule(data=st.data())
    def the_program_ends_its_output(self, data: Any) -> None:
        it = self.opened(data)
        it.socket.write_eof()
        assert it.socket.connected
        it.finished_here = True

    @any_open
    @rule(data=st.data(), allowed=st.booleans())
    def the_program_goes_on_alone_or_does_not(self, data: Any, allowed: bool) -> None:
        it = self.opened(data)
        it.socket.allow_half_open = allowed

    @any_open
    @rule(
        data=st.data(), how=st.sampled_from(("read", "peek", "view", "skip", "readinto")), size=st.integers(-1, 70_000)
    )
    def the_program_reads(self, data: Any, how: str, size: int) -> None:
        it = self.opened(data)
        available = it.socket.bytes_available
        expected = PATTERN[it.start + len(it.received) :][: available if size < 0 else min(size, available)]
        match how:
            case "read":
                it.read(lambda: it.socket.read(size))
            case "peek":
                assert it.socket.peek(size) == expected
            case "view":
                with it.socket.view(size) as view:
                    assert view == expected
            case "skip":
                assert it.socket.skip(size) == len(expected)
                it.received += expected
            case "readinto":
                target = bytearray(len(expected))
                assert it.socket.readinto(target) == len(expected)
                it.received += target

    @any_open
    @rule(data=st.data())
    def the_listener_begins_or_ends_to_read(self, data: Any) -> None:
        it = self.opened(data)
        it.reading = not it.reading

    @any_open
    @rule(data=st.data())
    def somebody_listens_or_nobody_does(self, data: Any) -> None:
        it = self.opened(data)
        change = it.socket.remove_event_listener if it.heard else it.socket.add_event_listener
        change("socketData", it.note)
        it.heard = not it.heard

    @any_open
    @rule(data=st.data(), pause=st.booleans())
    def the_program_pauses_or_resumes(self, data: Any, pause: bool) -> None:
        it = self.opened(data)
        (it.socket.pause if pause else it.socket.resume)()
        assert it.socket.paused <= pause  # what is about to break cannot be paused

    @any_open
    @rule(data=st.data(), limit=st.sampled_from((1, 1000, 70_000, 1_000_000, OWN_LIMIT)), mark=st.integers(0, 100_000))
    def the_program_sets_limits(self, data: Any, limit: int, mark: int) -> None:
        it = self.opened(data)
        it.socket.buffer_limit = limit
        it.socket.high_water_mark = mark
        it.limited |= limit < OWN_LIMIT  # what arrives may be too much for it

    @any_open
    @rule(data=st.data(), size=st.sampled_from((0, 1, 100, 65536, 200_000)))
    def the_program_lends_memory(self, data: Any, size: int) -> None:
        it = self.opened(data)
        it.socket.read_buffer = bytearray(size) if size else None

    @any_open
    @rule(data=st.data())
    def the_program_closes(self, data: Any) -> None:
        it = self.opened(data)
        it.end("close")

    @any_open
    @rule(data=st.data())
    def the_program_aborts(self, data: Any) -> None:
        it = self.opened(data)
        it.end("abort")

    @any_open
    @rule(data=st.data(), how=st.sampled_from(("close", "abort")))
    def a_listener_ends_it(self, data: Any, how: str) -> None:
        it = self.opened(data)
        it.ends_when_data_comes_to(it, how)

    @two_open
    @rule(data=st.data(), how=st.sampled_from(("close", "abort")))
    def a_listener_ends_another(self, data: Any, how: str) -> None:
        it = self.opened(data)
        self.opened(data, it).ends_when_data_comes_to(it, how)

    @any_open
    @rule(data=st.data(), error=st.sampled_from((ValueError, MemoryError, CancelledError, KeyboardInterrupt)))
    def a_listener_raises(self, data: Any, error: type[BaseException]) -> None:
        """At the connection's next event. It is contained, or it leaves the turn; either way nothing else is lost."""
        it = self.opened(data)
        if not it.trouble:
            it.trouble.append(error())

    @rule(limit=st.sampled_from((100_000, 1_000_000, REACTOR_LIMIT, 2 * REACTOR_LIMIT)))
    def the_program_limits_all(self, limit: int) -> None:
        self.step()
        self.reactor.buffer_limit = limit
        self.limited |= limit < REACTOR_LIMIT
        for it in self.connections:
            it.limited |= self.limited

    @any_open
    @rule(data=st.data(), seconds=st.sampled_from((None, 3600, 1e9)))
    def the_program_wants_no_idle_peers(self, data: Any, seconds: float | None) -> None:
        """No peer here is idle for an hour."""
        self.opened(data).socket.idle_timeout = seconds

    @precondition(lambda self: any(each.done for each in self.connections))
    @rule(data=st.data())
    def a_peer_is_idle_for_too_long(self, data: Any) -> None:
        it: Connection = data.draw(st.sampled_from([each for each in self.connections if each.done]))
        self.step()
        it.idle = True
        it.socket.idle_timeout = 0.001
        while it.open:
            self.turn(PATIENCE)

    @rule()
    def time_passes(self) -> None:
        if self.poll(1):
            self.step()

    @rule(turns=st.integers(2, 30))
    def much_time_passes(self, turns: int) -> None:
        if self.poll(turns):
            self.step()

    @rule()
    def a_timer_runs(self) -> None:
        self.step()
        ran: list[int] = []
        self.reactor.call_later(0, ran.append, 1)
        while self.turn() and not ran:  # an interrupt may come before it
            pass
        assert ran == [1]

    @rule()
    def garbage_is_collected(self) -> None:
        self.step()
        gc.collect()

    # ---- the server

    @rule(most=st.sampled_from((None, 3, 8, 100)))
    def the_server_takes_so_many(self, most: int | None) -> None:
        self.step()
        self.server.max_connections = most

    @precondition(lambda self: self.server.listening and not self.expected)
    @rule()
    def the_server_closes(self) -> None:
        self.step()
        self.server.close()
        assert not self.server.bound
        with contextlib.suppress(IOError):
            self.server.close()
            raise AssertionError("close() on what is not open")

    @precondition(lambda self: not self.server.bound)
    @rule()
    def the_server_opens_again(self) -> None:
        self.step()
        self.open_server()

    @precondition(lambda self: self.server.listening)
    @rule()
    def a_second_bind_is_refused(self) -> None:
        self.step()
        port = self.server.local_port
        with contextlib.suppress(IOError):
            self.server.bind(0, "127.0.0.1")
            raise AssertionError("bind() on what is bound")
        assert self.server.local_port == port

    @invariant()
    def the_laws_hold(self) -> None:
        for connection in self.connections:
            connection.check()
        assert self.contained == [error for error in self.raised if not isinstance(error, KeyboardInterrupt)]

    @precondition(lambda self: any(each.over for each in self.connections))
    @rule()
    def what_is_over_is_forgotten(self) -> None:
        self.step()
        for connection in [each for each in self.connections if each.over]:
            self.come_to_rest([connection])
            if connection.socket.bytes_available:  # errors of its listeners keep it
                connection.read(lambda it=connection.socket: it.read())
                connection.check()
            self.connections.remove(connection)
            if connection.peer is not None:
                connection.peer.close()

    # ---- the end

    def come_to_rest(self, connections: list[Connection]) -> None:
        """Has everything delivered, and compares it with what must have come."""
        quiet = 0
        while quiet < 3:
            busy = self.turn()
            busy += sum(connection.fetch() for connection in connections)
            quiet = 0 if busy else quiet + 1
        for it in connections:
            it.check()
            assert not (it.refused and it.open)
            left_here = it.socket.bytes_available if it.socket is not None and not it.ended_here else 0
            whole_here = not (it.reset_there or it.ended_here)
            if whole_here and it.open and not it.socket.paused:
                assert len(it.received) + left_here == it.sent
                assert ("end" in it.types) == it.finished_there
                assert not (it.finished_here and it.finished_there and not it.socket.bytes_pending)
            if whole_here and "close" in it.types and not it.errors and not it.dropped:
                assert len(it.received) + left_here == it.sent
            whole_there = not (it.reset_there or it.aborted or it.refused or it.errors)
            if whole_there and it.socket is not None:
                pending = it.socket.bytes_pending if it.open else 0
                assert len(it.fetched) + pending == it.written or self.reset_by_unread(it)
                if it.peer is not None and it.open and not pending:
                    assert it.end_seen == it.finished_here

    def reset_by_unread(self, it: Connection) -> bool:
        """Returns True if the system may have dropped output: we closed over what the peer went on sending."""
        return it.ended_here and it.sent > len(it.received)

    def note_what_broke_it(self) -> None:
        global broken
        error = sys.exc_info()[1]
        broken |= isinstance(error, Exception) and not isinstance(error, HypothesisException)

    def teardown(self) -> None:
        try:
            for it in self.connections:
                if it.open:
                    it.socket.resume()
                    it.reading = True
            self.come_to_rest(self.connections)
            self.the_laws_hold()  # what the last listeners found is looked at nowhere else
        finally:
            self.note_what_broke_it()
            for it in self.connections:
                if it.open:
                    it.ended_here = True
                    it.socket.abort()
                if it.peer is not None:
                    it.peer.close()
            self.listener.close()
            if self.server is not None and self.server.bound:
                self.server.close()
            self.reactor.close()
            assert self.reactor.bytes_kept == sum(
                it.socket.bytes_available for it in self.connections if it.socket is not None
            )

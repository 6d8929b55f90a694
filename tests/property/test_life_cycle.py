"""Random lives of a `ServerSocket` and a `Socket`, against small models of them."""

from __future__ import annotations

import contextlib
import gc
import os
import socket
import struct

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

import serversocket
from serversocket import Reactor, ServerSocket, Socket

from ..behaviour.helpers import LINUX, run_until

HOSTS = st.sampled_from(["127.0.0.1", "::1"])


class ServerLife(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.reactor = Reactor()
        self.server = ServerSocket(reactor=self.reactor)
        self.bound = self.listening = self.hearing = False
        self.host: str | None = None
        self.port = 0
        self.clients: list[socket.socket] = []
        self.expected = 0
        self.accepted = 0
        self.others: list[object] = []

    def accept(self, event: serversocket.ServerSocketConnectEvent) -> None:
        self.accepted += 1
        event.socket.close()

    def teardown(self) -> None:
        for client in self.clients:
            client.close()
        self.server.remove_event_listener("connect", self.accept)
        with self.server:
            pass
        self.reactor.close()

    @rule(host=HOSTS)
    def bind(self, host: str) -> None:
        if self.bound:
            with pytest.raises(serversocket.IOError, match="#2002"):
                self.server.bind(0, host)
        else:
            self.server.bind(0, host)
            self.bound, self.host, self.port = True, host, self.server.local_port

    @rule()
    def bind_what_is_taken(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other, pytest.raises(serversocket.IOError, match="#2002"):
            self.server.bind(other.getsockname()[1], "127.0.0.1")

    @rule(port=st.sampled_from([-1, 65536]))
    def bind_no_port(self, port: int) -> None:
        with pytest.raises((serversocket.RangeError, serversocket.IOError)):
            self.server.bind(port, "127.0.0.1")

    @rule(backlog=st.integers(0, 200))
    def listen(self, backlog: int) -> None:
        if self.bound:
            # Nobody may be lost because a later call made the queue smaller.
            self.server.listen(max(backlog, 100))
            self.listening = True
        else:
            with pytest.raises(serversocket.IOError, match="#2002"):
                self.server.listen(backlog)

    @rule()
    def listen_negatively(self) -> None:
        with pytest.raises((serversocket.RangeError, serversocket.IOError)):
            self.server.listen(-1)

    @rule()
    def close(self) -> None:
        if self.bound:
            self.server.close()
            self.bound = self.listening = False
            self.host, self.port = None, 0
            self.expected = self.accepted
        else:
            with pytest.raises(serversocket.IOError, match="#2002"):
                self.server.close()

    @rule()
    def hear(self) -> None:
        self.server.add_event_listener("connect", self.accept)
        self.hearing = True

    @rule()
    def hear_no_more(self) -> None:
        self.server.remove_event_listener("connect", self.accept)
        self.hearing = False

    @precondition(lambda self: self.listening and len(self.clients) < 30)
    @rule()
    def client_connects(self) -> None:
        assert self.host is not None
        self.clients.append(socket.create_connection((self.host, self.port), timeout=60))
        self.expected += 1

    @precondition(lambda self: not self.listening and self.bound)
    @rule()
    def client_is_refused(self) -> None:
        assert self.host is not None
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((self.host, self.port), timeout=60)

    @rule()
    def turn(self) -> None:
        if self.hearing and self.listening:
            run_until(self.reactor, lambda: self.accepted == self.expected)
        else:
            self.reactor.poll(0)

    @rule()
    def collect(self) -> None:
        gc.collect()

    @precondition(lambda self: LINUX and self.listening)
    @rule()
    def system_closes_it(self) -> None:
        told: list[object] = []
        self.server.add_event_listener("close", told.append)
        with socket.socket(fileno=os.dup(self.server.fileno())) as same:
            same.shutdown(socket.SHUT_RDWR)
        run_until(self.reactor, lambda: told)
        self.server.remove_event_listener("close", told.append)
        assert len(told) == 1
        self.bound = self.listening = False
        self.host, self.port = None, 0
        self.expected = self.accepted

    @invariant()
    def state_is_as_expected(self) -> None:
        server = self.server
        assert (server.bound, server.listening) == (self.bound, self.listening)
        assert (server.local_address, server.local_port) == (self.host, self.port)
        assert server.has_event_listener("connect") == self.hearing
        assert self.accepted <= self.expected


FRESH, CONNECTED, GONE, CLOSED = "fresh", "connected", "gone", "closed"


class SocketLife(RuleBasedStateMachine):
    """The peer is plain. `arrived`: what it sent and the socket has not read; `sent`: what it has to receive."""

    def __init__(self) -> None:
        super().__init__()
        self.reactor = Reactor()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(60)
        self.it = Socket(reactor=self.reactor)
        self.peer: socket.socket | None = None
        self.state = FRESH
        self.arrived = bytearray()
        self.sent = bytearray()
        self.events: list[str] = []
        for type in ("connect", "socketData", "close", "ioError"):
            self.it.add_event_listener(type, self.note)

    def note(self, event: serversocket.Event) -> None:
        if event.type != "socketData":
            self.events.append(event.type)

    def teardown(self) -> None:
        with self.it:
            pass
        if self.peer is not None:
            self.peer.close()
        self.listener.close()
        self.reactor.close()

    def receive(self) -> None:
        """The peer receives everything that was written, in order and once."""
        assert self.peer is not None
        received = bytearray()
        self.peer.setblocking(False)

        def complete() -> bool:
            with contextlib.suppress(BlockingIOError):
                while len(received) < len(self.sent):
                    chunk = self.peer.recv(100_000)
                    assert chunk, "the stream ended early"
                    received.extend(chunk)
            return len(received) >= len(self.sent)

        run_until(self.reactor, complete)
        assert received == self.sent
        self.sent.clear()
        self.peer.settimeout(60)

    def leave(self, *expected: str) -> None:
        run_until(self.reactor, lambda: self.events and self.events[-1] == "close")
        assert tuple(self.events) == expected
        self.events.clear()
        self.state = GONE
        assert self.peer is not None
        self.peer.close()
        self.peer = None
        self.sent.clear()

    @rule()
    def connect(self) -> None:
        old = self.peer
        if self.state == CONNECTED:
            assert self.it.connected
        self.it.connect(*self.listener.getsockname())
        assert not self.it.connected
        run_until(self.reactor, lambda: self.it.connected)
        if old is not None:
            self.peer = old
            self.receive_until_end()
            old.close()
        self.peer = self.listener.accept()[0]
        self.peer.settimeout(60)
        self.state = CONNECTED
        self.arrived.clear()
        self.sent.clear()
        assert self.events == ["connect"]
        self.events.clear()

    def receive_until_end(self) -> None:
        assert self.peer is not None
        received = bytearray()
        self.peer.setblocking(False)
        over = []

        def ended() -> bool:
            try:
                while not over:
                    chunk = self.peer.recv(100_000)
                    received.extend(chunk)
                    if not chunk:
                        over.append(True)
            except BlockingIOError:
                pass
            except ConnectionResetError:
                # Closed with input unread: then the system resets, and may drop what was on its way.
                over.append("reset")
            return bool(over)

        run_until(self.reactor, ended)
        if over == [True]:
            assert received == self.sent
        else:
            assert bytes(self.sent).startswith(bytes(received))
        self.sent.clear()

    @rule(
        data=st.binary(max_size=100) | st.integers(1, 300_000).map(lambda size: bytes(range(256)) * (size // 256 + 1)),
        mutable=st.booleans(),
    )
    def write(self, data: bytes, mutable: bool) -> None:
        if self.state == CONNECTED:
            pending = self.it.bytes_pending
            assert self.it.write(bytearray(data) if mutable else data) == len(data)
            assert self.it.bytes_pending == pending + len(data)
            self.sent.extend(data)
        else:
            with pytest.raises(serversocket.IOError, match="#2002"):
                self.it.write(data)

    @rule()
    def flush(self) -> None:
        if self.state == CONNECTED:
            self.it.flush()
        else:
            with pytest.raises(serversocket.IOError, match="#2002"):
                self.it.flush()

    @rule(size=st.integers(-1, 50))
    def read(self, size: int) -> None:
        if self.state in (CONNECTED, GONE):
            wanted = len(self.arrived) if size < 0 else size
            assert self.it.peek(size) == self.arrived[:wanted]
            assert self.it.read(size) == self.arrived[:wanted]
            del self.arrived[:wanted]
        else:
            with pytest.raises(serversocket.IOError, match="#2002"):
                self.it.read(size)

    @rule()
    def read_an_integer(self) -> None:
        if self.state == CONNECTED or (self.state == GONE and self.arrived):
            if len(self.arrived) < 4:
                with pytest.raises(serversocket.EOFError):
                    self.it.read_int()
            else:
                assert self.it.read_int() == struct.unpack(">i", self.arrived[:4])[0]
                del self.arrived[:4]
        else:
            with pytest.raises(serversocket.IOError, match="#2002"):
                self.it.read_int()

    @rule()
    def close(self) -> None:
        if self.state == CONNECTED:
            self.it.close()
            self.state = CLOSED
            self.arrived.clear()
            self.receive_until_end()
            assert self.peer is not None
            self.peer.close()
            self.peer = None
        else:
            with pytest.raises(serversocket.IOError, match="#2002"):
                self.it.close()

    @rule()
    def abort(self) -> None:
        if self.state == CONNECTED:
            self.it.abort()
            self.state = CLOSED
            self.arrived.clear()
            self.sent.clear()
            assert self.peer is not None
            with contextlib.suppress(ConnectionResetError):
                while self.peer.recv(1_000_000):
                    pass
            self.peer.close()
            self.peer = None
        else:
            with pytest.raises(serversocket.IOError, match="#2002"):
                self.it.abort()

    @precondition(lambda self: self.state == CONNECTED)
    @rule(data=st.binary(min_size=1, max_size=200) | st.just(b"0123456789abcdef" * 5000))
    def peer_sends(self, data: bytes) -> None:
        assert self.peer is not None
        self.peer.sendall(data)
        self.arrived.extend(data)
        run_until(self.reactor, lambda: self.it.bytes_available == len(self.arrived))

    @precondition(lambda self: self.state == CONNECTED)
    @rule()
    def peer_receives(self) -> None:
        self.receive()

    @precondition(lambda self: self.state == CONNECTED)
    @rule(last=st.binary(max_size=50))
    def peer_closes(self, last: bytes) -> None:
        self.receive()
        assert self.peer is not None
        self.peer.sendall(last)
        self.arrived.extend(last)
        self.peer.shutdown(socket.SHUT_RDWR)
        self.leave("close")

    @precondition(lambda self: self.state == CONNECTED)
    @rule(last=st.binary(max_size=50))
    def peer_closes_its_half(self, last: bytes) -> None:
        assert self.peer is not None
        self.peer.sendall(last)
        self.arrived.extend(last)
        self.peer.shutdown(socket.SHUT_WR)
        self.receive_until_end()
        self.leave("close")

    @precondition(lambda self: self.state == CONNECTED)
    @rule()
    def peer_resets(self) -> None:
        self.receive()
        assert self.peer is not None
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.peer.close()
        self.leave("ioError", "close")

    @rule()
    def turn(self) -> None:
        self.reactor.poll(0)

    @rule()
    def collect(self) -> None:
        gc.collect()

    @invariant()
    def state_is_as_expected(self) -> None:
        it = self.it
        assert it.connected == (self.state == CONNECTED)
        assert it.bytes_available == len(self.arrived)
        assert (it.remote_port != 0) == (it.remote_address is not None) == (self.state in (CONNECTED, GONE))
        assert self.events == []
        if self.state != CONNECTED:
            assert it.bytes_pending == 0
        else:
            assert it.bytes_pending <= len(self.sent)


_SETTINGS = settings(max_examples=max(settings.default.max_examples // 4, 10), stateful_step_count=40)
TestServerLife = ServerLife.TestCase
TestServerLife.settings = _SETTINGS
TestSocketLife = SocketLife.TestCase
TestSocketLife.settings = _SETTINGS

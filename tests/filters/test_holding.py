"""A filter may hold `connect` back: the program sees nothing of a connection before."""

from __future__ import annotations

import errno
import gc
import socket
from itertools import product

import pytest

from serversocket import Event, ServerSocket, Socket
from serversocket.engine import Filter
from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import (
    EVENTS,
    PATIENCE,
    Log,
    connection,
    ended,
    listening,
    receive_all,
    receive_exactly,
    run_until,
    settle,
)
from .filters import PREFIX, Deflate, Greeting, Plain, Prefixed, deflated, inflated


class Server:
    """One whose clients begin with a prefix, with the logs of those that came through."""

    def __init__(self, server: ServerSocket, make=Prefixed) -> None:
        self.reactor = server.reactor
        self.server = server
        self.logs: list[Log] = []
        self.sockets: list[Socket] = []
        self.filters: list[Filter] = []
        self.make = make
        server._admission = self.admit
        server.add_event_listener("connect", self.connected)

    def admit(self, stream: Socket) -> Filter:
        assert stream.connected
        assert stream.remote_port
        self.filters.append(self.make())
        return self.filters[-1]

    def connected(self, event: Event) -> None:
        self.sockets.append(event.socket)
        self.logs.append(Log(event.socket, types=(*EVENTS, "end")))

    def client(self) -> socket.socket:
        before = len(self.filters)
        peer = socket.create_connection(("127.0.0.1", self.server.local_port), timeout=PATIENCE)
        run_until(self.reactor, lambda: len(self.filters) > before)
        return peer

    def close(self) -> None:
        for each in self.sockets:
            if each.connected:
                each.close()


@pytest.fixture
def it():
    with listening() as server:
        it = Server(server)
        yield it
        it.close()


def test_connect_comes_with_the_last_byte_of_the_prefix_and_the_rest_behind_it(it):
    with it.client() as peer:
        for byte in PREFIX[:-1]:
            peer.sendall(bytes([byte]))
            settle(it.reactor)
            assert it.sockets == []
            assert it.server.connections == 1
        peer.sendall(PREFIX[-1:] + b"rest")
        run_until(it.reactor, lambda: it.logs and it.logs[0].data == b"rest")
        assert it.logs[0].types == ["socketData"]
        assert it.sockets[0]._wire_counts is None, "the filter has taken itself out"
        peer.sendall(b"more")
        run_until(it.reactor, lambda: it.logs[0].data == b"restmore")


def test_the_rest_comes_in_the_same_turn(it):
    with it.client() as peer:
        peer.sendall(PREFIX + b"rest")
        run_until(it.reactor, lambda: it.sockets)
        assert it.logs[0].data == b"rest"


def test_a_client_that_ends_behind_the_prefix_is_told_whole(it):
    with it.client() as peer:
        peer.sendall(PREFIX + b"rest")
        peer.shutdown(socket.SHUT_WR)
        run_until(it.reactor, lambda: it.logs and it.logs[0].count("close"))
        assert it.logs[0].types == ["socketData", "close"]
        assert it.logs[0].data == b"rest"


@pytest.mark.parametrize(
    ("sent", "how"),
    [*product([b"", PREFIX[:3], b"nonsense"], ["end", "reset"]), (b"nonsense", "nothing")],
)
def test_one_that_does_not_come_through_is_refused_and_counted(it, sent, how):
    with it.client() as peer:
        peer.sendall(sent)
        if how == "reset":
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, bytes([1, 0, 0, 0, 0, 0, 0, 0]))
            peer.close()
        elif how == "end":
            peer.shutdown(socket.SHUT_WR)
        run_until(it.reactor, lambda: it.server.connections == 0)
        assert it.sockets == []
        assert it.server.turned_away == 1
        if how != "reset":
            run_until(it.reactor, lambda: ended(peer))
    assert it.reactor.bytes_kept == 0


def test_closing_the_server_drops_those_that_wait(it):
    with it.client() as first, it.client() as second:
        assert it.server.connections == 2
        it.server.close()
        for peer in (first, second):
            run_until(it.reactor, lambda peer=peer: ended(peer))
        assert it.server.turned_away == 0
        assert it.sockets == []
    settle(it.reactor)


def test_closing_the_reactor_does_too(it):
    with it.client() as peer:
        it.reactor.close()
        assert ended(peer)


def test_a_server_that_nobody_listens_to_any_more_lets_nobody_in(it):
    with it.client() as peer:
        it.server.remove_event_listener("connect", it.connected)
        peer.sendall(PREFIX)
        run_until(it.reactor, lambda: it.server.turned_away == 1)
        run_until(it.reactor, lambda: ended(peer))


def test_clients_without_a_prefix_do_not_stop_the_others(it):
    waiting = [it.client() for _ in range(20)]
    with it.client() as peer:
        peer.sendall(PREFIX + b"served")
        run_until(it.reactor, lambda: it.logs and it.logs[0].data == b"served")
    for each in waiting:
        each.close()
    run_until(it.reactor, lambda: it.server.turned_away == 20)


def test_one_that_the_program_does_not_want_is_closed_at_once(it):
    it.server.remove_event_listener("connect", it.connected)
    it.server.add_event_listener("connect", lambda event: None)
    with it.client() as peer:
        peer.sendall(PREFIX)
        run_until(it.reactor, lambda: it.server.connections == 0)
        run_until(it.reactor, lambda: ended(peer))
    gc.collect()


def test_a_listener_of_connect_may_write_close_and_read(it):
    it.server.add_event_listener("connect", lambda event: event.socket.write(b"welcome"), priority=1)
    with it.client() as peer:
        peer.sendall(PREFIX)
        assert receive_exactly(it.reactor, peer, 7) == b"welcome"
        it.sockets[0].close()
        assert receive_all(it.reactor, peer) == b""


def test_another_filter_may_take_its_place(it):
    it.make = lambda: Prefixed(Deflate())
    with it.client() as peer:
        peer.sendall(PREFIX + deflated(b"squeezed"))
        run_until(it.reactor, lambda: it.logs and it.logs[0].count("close"))
        assert it.logs[0].data == b"squeezed"
        assert inflated(receive_all(it.reactor, peer)) == b""


def test_what_was_kept_before_connect_is_bounded(it):
    class Hoarding(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.holding = True

    it.make = Hoarding
    it.reactor.buffer_limit = 1024 * 1024
    try:
        with it.client() as peer:
            peer.setblocking(False)

            def refused() -> bool:
                try:
                    peer.send(bytes(65536))
                except BlockingIOError:
                    return False
                except OSError:
                    return True
                return False

            run_until(it.reactor, refused)
            assert it.server.turned_away == 1
            assert it.sockets == []
    finally:
        it.reactor.buffer_limit = 2**30


def test_a_greeting_goes_first_and_its_answer_is_waited_for(it):
    it.make = Greeting
    with it.client() as peer:
        assert receive_exactly(it.reactor, peer, 6) == b"hello?"
        assert it.sockets == []
        peer.sendall(b"!data")
        assert receive_exactly(it.reactor, peer, 8) == b"welcome "
        run_until(it.reactor, lambda: it.logs and it.logs[0].data == b"data")


def test_one_that_is_asked_again_may_let_in_later(it):
    class Waiting(Plain):
        def __init__(self) -> None:
            super().__init__()
            self.holding = True
            self.decided = False

        def received(self, data: bytes) -> bytes:
            if self.decided:
                self.holding = False
            return super().received(data)

    it.make = Waiting
    streams = []
    it.server._admission = lambda stream: streams.append(stream) or it.admit(stream)
    with it.client() as peer:
        peer.sendall(b"early")
        run_until(it.reactor, lambda: it.filters[0].names.count("received"))
        settle(it.reactor)
        assert it.sockets == []
        it.filters[0].decided = True
        streams.pop()._ask_filter()
        run_until(it.reactor, lambda: it.sockets)
        assert it.logs[0].data == b"early"


def test_the_admission_may_refuse_or_fail(it):
    seen = []
    it.reactor.add_event_listener("uncaughtError", lambda event: seen.append(event.error))

    def admit(stream: Socket) -> Filter:
        raise ValueError("not this one")

    it.server._admission = admit
    with socket.create_connection(("127.0.0.1", it.server.local_port), timeout=PATIENCE) as peer:
        run_until(it.reactor, lambda: seen)
        assert isinstance(seen[0], ValueError)
        run_until(it.reactor, lambda: ended(peer))
        assert it.server.turned_away == 1
    it.server._admission = lambda stream: stream.abort()
    with socket.create_connection(("127.0.0.1", it.server.local_port), timeout=PATIENCE) as peer:
        run_until(it.reactor, lambda: ended(peer))
    it.server._admission = lambda stream: None
    with socket.create_connection(("127.0.0.1", it.server.local_port), timeout=PATIENCE) as peer:
        run_until(it.reactor, lambda: it.sockets)
        peer.sendall(b"plain")
        run_until(it.reactor, lambda: it.logs[0].data == b"plain")


# ---- a client's


class Client(Socket):
    """Installs its filter as soon as it is connected."""

    filter: Filter

    def _connection_made(self) -> None:
        super()._connection_made()
        self._install(self.filter)


def test_a_clients_connect_waits_too():
    reactor = current_reactor()
    with socket.create_server(("127.0.0.1", 0)) as listener, Client() as client:
        client.filter = Greeting()
        log = Log(client)
        client.connect("127.0.0.1", listener.getsockname()[1])
        peer, _ = listener.accept()
        with peer:
            assert receive_exactly(reactor, peer, 6) == b"hello?"
            settle(reactor)
            assert log.types == []
            peer.sendall(b"!data")
            run_until(reactor, lambda: log.data == b"data")
            assert log.types == ["connect", "socketData"]


@pytest.mark.parametrize("answer", [None, b"nonsense"])
def test_a_client_that_is_not_let_in_gets_one_error_and_no_close(answer):
    reactor = current_reactor()
    with socket.create_server(("127.0.0.1", 0)) as listener, Client() as client:
        client.filter = Prefixed()
        log = Log(client)
        client.connect("127.0.0.1", listener.getsockname()[1])
        peer, _ = listener.accept()
        with peer:
            if answer is None:
                peer.shutdown(socket.SHUT_WR)
            else:
                peer.sendall(answer)
            run_until(reactor, lambda: log.count("ioError"))
            settle(reactor)
            assert log.types == ["ioError"]
            assert not client.connected
            assert log.of("ioError")[0].error.errno == (errno.ECONNRESET if answer is None else errno.EPROTO)


def test_what_a_client_writes_meanwhile_waits():
    reactor = current_reactor()
    with socket.create_server(("127.0.0.1", 0)) as listener, Client() as client:
        client.filter = Greeting()
        log = Log(client)
        client.connect("127.0.0.1", listener.getsockname()[1])
        peer, _ = listener.accept()
        with peer:
            assert receive_exactly(reactor, peer, 6) == b"hello?"
            client.write(b"written early")
            settle(reactor)
            assert client.bytes_pending == 13
            peer.sendall(b"!")
            assert receive_exactly(reactor, peer, 21) == b"welcome written early"
            assert log.types[0] == "connect"


def test_with_connection_helpers_it_is_a_connection_like_others():
    made = []
    with connection(admission=lambda stream: made.append(Plain()) or made[-1]) as it:
        it.peer.sendall(b"x")
        it.until(lambda: it.log.data == b"x")
    assert made[0].names[:2] == ["started", "received"]

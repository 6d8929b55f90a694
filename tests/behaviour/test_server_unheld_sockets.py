from __future__ import annotations

import contextlib
import gc
import select
import threading
import warnings
import weakref

import pytest

from serversocket import Reactor, ServerSocket, Socket, defaults
from serversocket.loop.reactor import current_reactor

from .helpers import (
    FAMILIES,
    PATIENCE,
    connect_to,
    ended,
    listening,
    on_posix,
    open_descriptors,
    receive_all,
    receive_exactly,
    run_until,
    settle,
)


@pytest.fixture
def without_collection():
    """What goes now goes by its reference count alone."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize("host", FAMILIES)
@pytest.mark.usefixtures("without_collection")
def test_socket_that_nobody_wants_is_closed_at_once(host):
    reactor = current_reactor()
    references = []
    with listening(host) as server:
        server.add_event_listener("connect", lambda event: references.append(weakref.ref(event.socket)))
        with connect_to(host, server.local_port) as client:
            run_until(reactor, lambda: references)
            assert references[0]() is None
            assert client.recv(1) == b""


@on_posix
def test_descriptors_of_unwanted_sockets_are_free_at_once():
    reactor = current_reactor()
    count = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: count.append(1))
        before = open_descriptors()
        clients = [connect_to("127.0.0.1", server.local_port) for _ in range(100)]
        run_until(reactor, lambda: len(count) == 100)
        for client in clients:
            client.close()
        assert open_descriptors() == before


@pytest.mark.parametrize("size", [4, 4_000_000])
@pytest.mark.parametrize("unread", [b"", b"GET / HTTP/1.0\r\n\r\n"], ids=["silent", "speaking"])
@pytest.mark.usefixtures("without_collection")
def test_output_of_an_unwanted_socket_is_sent_first(unread, size):
    """Whatever the client has said that nobody has read."""
    reactor = current_reactor()
    done = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: done.append(event.socket.write(bytes(size))))
        with connect_to("127.0.0.1", server.local_port) as client:
            client.sendall(unread)
            run_until(reactor, lambda: done)
            assert receive_all(reactor, client) == bytes(size)
        run_until(reactor, lambda: not server.connections)


@pytest.mark.usefixtures("without_collection")
def test_an_unwanted_socket_whose_client_fetches_nothing_is_given_up(monkeypatch):
    """As after `close`; it would stay for ever."""
    monkeypatch.setattr(defaults, "LINGER_SECONDS", 0.1)
    monkeypatch.setattr(defaults, "STALLED_SECONDS", 0.3)
    reactor = current_reactor()
    done = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: done.append(event.socket.write(bytes(12_000_000))))
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: done)
            assert server.connections == 1
            assert reactor.bytes_kept > 0
            run_until(reactor, lambda: not server.connections)
            with pytest.raises(ConnectionResetError):
                while client.recv(1_000_000):
                    pass
    assert reactor.bytes_kept == 0


class Pause:
    def __await__(self):
        yield


async def coroutine(socket):
    await Pause()
    return socket


def generator(socket):
    yield
    yield socket


def begun(it):
    it.send(None)
    return it


HOLDERS = {
    "a list": lambda socket: [socket],
    "a closure": lambda socket: lambda: socket,
    "a method": lambda socket: socket.read,
    "a generator": lambda socket: begun(generator(socket)),
    "a generator that has not begun": generator,
    "a coroutine": lambda socket: begun(coroutine(socket)),
    "itself": lambda socket: setattr(socket, "itself", socket),
}


@pytest.mark.usefixtures("without_collection")
@pytest.mark.parametrize("holder", HOLDERS)
def test_whatever_holds_a_socket_keeps_it_open(holder):
    reactor = current_reactor()
    held, references = [], []

    def accept(event):
        held.append(HOLDERS[holder](event.socket))
        references.append(weakref.ref(event.socket))

    with listening() as server:
        server.add_event_listener("connect", accept)
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: references)
            client.sendall(b"data")
            run_until(reactor, lambda: references[0]().bytes_available == 4)
            references[0]().close()


@contextlib.contextmanager
def held_with_unread_input():
    """The list that alone holds a socket, which has said "busy" and has not read what came; its server and client."""
    reactor = current_reactor()
    held = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: held.append(event.socket))
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: held)
            held[0].write(b"busy")
            settle(reactor)
            client.sendall(b"unread")
            select.select([held[0].fileno()], [], [], PATIENCE)
            yield held, server, client
        run_until(reactor, lambda: not server.connections)
        assert reactor.bytes_kept == 0


@pytest.mark.usefixtures("without_collection")
def test_unread_input_does_not_keep_the_output_of_a_forgotten_socket_from_its_client():
    with held_with_unread_input() as (held, server, client):
        with pytest.warns(ResourceWarning):
            held.clear()
        assert receive_all(server.reactor, client) == b"busy"


@pytest.mark.usefixtures("without_collection")
def test_socket_that_another_thread_forgets_is_closed_at_once():
    with held_with_unread_input() as (held, server, _):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            thread = threading.Thread(target=held.clear)
            thread.start()
            thread.join()
        assert not server.connections


def test_socket_with_a_listener_lives_without_references():
    reactor = current_reactor()
    references = []

    def echo(event):
        event.target.write(event.target.read())

    def accept(event):
        event.socket.add_event_listener("socketData", echo)
        references.append(weakref.ref(event.socket))

    with listening() as server:
        server.add_event_listener("connect", accept)
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: references)
            for message in (b"one", b"two"):
                gc.collect()
                client.sendall(message)
                assert receive_exactly(reactor, client, 3) == message
        run_until(reactor, lambda: references[0]() is None)


@pytest.mark.usefixtures("without_collection")
def test_losing_its_last_listener_ends_an_unheld_socket():
    reactor = current_reactor()

    def once(event):
        event.target.remove_event_listener("socketData", once)

    def accept(event):
        event.socket.add_event_listener("socketData", once)

    with listening() as server:
        server.add_event_listener("connect", accept)
        with connect_to("127.0.0.1", server.local_port) as client, pytest.warns(ResourceWarning):  # noqa: PT031
            client.sendall(b"x")
            run_until(reactor, lambda: ended(client))


def test_weak_listener_keeps_the_socket_no_longer_than_itself():
    reactor = current_reactor()
    accepted = []

    class Handler:
        def on_data(self, event):
            event.target.read()

    handlers = [Handler()]

    def accept(event):
        event.socket.add_event_listener("socketData", handlers[0].on_data, use_weak_reference=True)
        accepted.append(event.socket)

    with listening() as server:
        server.add_event_listener("connect", accept)
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: accepted)
            assert accepted[0].has_event_listener("socketData")
            handlers.clear()
            gc.collect()
            assert not accepted[0].has_event_listener("socketData")
            client.sendall(b"abc")
            run_until(reactor, lambda: accepted[0].bytes_available == 3)
            accepted[0].close()


@pytest.mark.usefixtures("without_collection")
def test_held_socket_lives_without_listeners():
    reactor = current_reactor()
    held = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: held.append(event.socket))
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: held)
            client.sendall(b"data")
            run_until(reactor, lambda: held[0].bytes_available == 4)
            assert held[0].read() == b"data"
            held[0].close()


@pytest.mark.usefixtures("without_collection")
def test_dropping_a_held_socket_closes_it_with_a_warning():
    reactor = current_reactor()
    held = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: held.append(event.socket))
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: held)
            settle(reactor)
            with pytest.warns(ResourceWarning, match="descriptor"):
                held.clear()
            assert client.recv(1) == b""
            settle(reactor)


def test_socket_in_a_cycle_is_collected():
    reactor = current_reactor()
    references = []

    class Session:
        def __init__(self, socket: Socket) -> None:
            self.socket = socket
            self.itself = self

    def accept(event):
        references.append(weakref.ref(Session(event.socket)))

    with listening() as server:
        server.add_event_listener("connect", accept)
        with connect_to("127.0.0.1", server.local_port) as client:
            gc.disable()
            try:
                run_until(reactor, lambda: references)
                assert references[0]() is not None
                with warnings.catch_warnings(record=True) as caught:
                    warnings.simplefilter("always")
                    gc.collect()
            finally:
                gc.enable()
            assert references[0]() is None
            assert any("descriptor" in str(warning.message) for warning in caught)
            assert client.recv(1) == b""


def test_session_that_listens_with_its_own_methods_goes_after_the_close():
    reactor = current_reactor()
    references = []

    class Session:
        def __init__(self, socket: Socket) -> None:
            self.socket = socket
            socket.add_event_listener("socketData", self.on_data)
            socket.add_event_listener("close", self.on_close)

        def on_data(self, event):
            self.socket.write(self.socket.read())

        def on_close(self, event):
            pass

    with listening() as server:
        server.add_event_listener("connect", lambda event: references.append(weakref.ref(Session(event.socket))))
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: references)
            gc.collect()
            client.sendall(b"ping")
            assert receive_exactly(reactor, client, 4) == b"ping"
        settle(reactor)

        def collected():
            gc.collect()
            return references[0]() is None

        run_until(reactor, collected)


@pytest.mark.usefixtures("without_collection")
def test_unheld_server_with_a_listener_lives():
    reactor = current_reactor()
    served = []

    def serve() -> tuple[int, weakref.ref[ServerSocket]]:
        server = ServerSocket()
        server.add_event_listener("connect", lambda event: (served.append(event.target), event.socket.close()))
        server.bind(0, "127.0.0.1")
        server.listen()
        return server.local_port, weakref.ref(server)

    port, reference = serve()
    assert reference() is not None
    with connect_to("127.0.0.1", port):
        run_until(reactor, lambda: served)
    served.pop().close()
    assert reference() is None


@pytest.mark.usefixtures("without_collection")
def test_unheld_server_without_listeners_is_closed():
    server = ServerSocket()
    server.bind(0, "127.0.0.1")
    server.listen()
    port = server.local_port
    with pytest.warns(ResourceWarning, match="descriptor"):
        del server
    with pytest.raises(ConnectionRefusedError):
        connect_to("127.0.0.1", port)


def test_last_reference_may_go_inside_a_handler():
    reactor = current_reactor()
    told = []
    held = {}

    def drop(event):
        told.append(event.target.read())
        held.clear()
        event.target.remove_event_listener("socketData", drop)
        gc.collect()

    def accept(event):
        held["socket"] = event.socket
        event.socket.add_event_listener("socketData", drop)

    with listening() as server:
        server.add_event_listener("connect", accept)
        with connect_to("127.0.0.1", server.local_port) as client, pytest.warns(ResourceWarning):  # noqa: PT031
            client.sendall(b"x")
            run_until(reactor, lambda: told)
            run_until(reactor, lambda: ended(client))


def test_socket_may_be_revived_by_a_finalizer():
    reactor = current_reactor()
    revived = []

    class Reviving(Socket):
        def __del__(self):
            revived.append(self)

    def dropped():
        Reviving()

    dropped()
    assert len(revived) == 1
    revived[0].add_event_listener("close", print)
    assert not revived[0].connected
    settle(reactor)
    Reviving.__del__ = lambda self: None
    revived.clear()
    gc.collect()


class Listener:
    def heard(self, event):
        pytest.fail(f"{event} came")


@pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "in another thread"])
@pytest.mark.parametrize("method", [False, True], ids=["a function", "a method"])
def test_the_last_listener_was_a_weak_one_that_has_gone(method, elsewhere):
    reactor = current_reactor()
    kept = []
    with listening() as server:

        def connected(event):
            it = Listener()
            listener = it.heard if method else lambda event: it.heard(event)
            kept.append(it if method else listener)
            event.socket.add_event_listener("socketData", listener, use_weak_reference=True)

        server.add_event_listener("connect", connected)
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: kept)
            settle(reactor)
            assert server.connections == 1
            with pytest.warns(ResourceWarning, match="descriptor"):  # noqa: PT031
                if elsewhere:
                    thread = threading.Thread(target=kept.clear)
                    thread.start()
                    thread.join()
                else:
                    kept.clear()
                run_until(reactor, lambda: server.connections == 0)
            assert client.recv(1) == b""


def test_a_weak_listener_that_goes_takes_nobody_else_with_it():
    reactor = current_reactor()
    kept, data = [], []
    with listening() as server:

        def connected(event):
            kept.append(lambda event: None)
            event.socket.add_event_listener("socketData", kept[0], use_weak_reference=True)
            event.socket.add_event_listener("socketData", lambda event: data.append(event.target.read()))

        server.add_event_listener("connect", connected)
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: kept)
            kept.clear()
            settle(reactor)
            client.sendall(b"hello")
            run_until(reactor, lambda: data == [b"hello"])
        run_until(reactor, lambda: server.connections == 0)


def test_a_weak_listener_that_goes_when_the_reactor_has():
    reactor = Reactor()
    listener = Listener()
    server = ServerSocket(reactor=reactor)
    server.add_event_listener("connect", listener.heard, use_weak_reference=True)
    server.bind(0, "127.0.0.1")
    server.listen()
    reactor.close()
    del listener
    gc.collect()

from __future__ import annotations

import gc

import pytest

import serversocket
from serversocket import ServerSocketConnectEvent, Socket
from serversocket.loop.reactor import current_reactor

from .helpers import FAMILIES, Log, connect_to, ended, listening, on_posix, receive_all, run_until, settle


@pytest.mark.parametrize("host", FAMILIES)
def test_socket_is_connected_and_knows_both_ends(host):
    reactor = current_reactor()
    seen = []

    def accept(event):
        it = event.socket
        seen.append((it.connected, it.remote_address, it.remote_port, it.local_address, it.local_port))
        it.close()

    with listening(host) as server:
        server.add_event_listener("connect", accept)
        with connect_to(host, server.local_port) as client:
            run_until(reactor, lambda: seen)
            assert seen == [(True, host, client.getsockname()[1], host, server.local_port)]


def test_event_is_a_server_socket_connect_event():
    reactor = current_reactor()
    events = []
    with listening() as server:
        server.addEventListener(ServerSocketConnectEvent.CONNECT, events.append)
        with connect_to("127.0.0.1", server.local_port):
            run_until(reactor, lambda: events)
        (event,) = events
        assert type(event) is ServerSocketConnectEvent
        assert type(event.socket) is Socket
        assert event.target is event.current_target is event.currentTarget is server
        assert (event.type, event.bubbles, event.cancelable, event.event_phase) == ("connect", False, False, 2)
        assert event.clone().socket is event.socket
        assert event.socket.reactor is server.reactor
        event.socket.close()


def test_nothing_is_delivered_from_inside_listen():
    told = []
    with listening() as server, connect_to("127.0.0.1", server.local_port):
        server.add_event_listener("connect", told.append)
        server.listen()
        assert told == []


def test_events_of_a_connection_come_in_order():
    reactor = current_reactor()
    order = []

    def accept(event):
        order.append("server connect")
        for type in ("connect", "socketData", "close", "ioError"):
            event.socket.add_event_listener(type, lambda event: order.append(event.type))

    with listening() as server:
        server.add_event_listener("connect", accept)
        with connect_to("127.0.0.1", server.local_port) as client:
            client.sendall(b"hello")
        run_until(reactor, lambda: "close" in order)
        assert order == ["server connect", "socketData", "close"]


def test_closing_the_socket_in_the_event_turns_the_client_away():
    reactor = current_reactor()
    with listening() as server:
        server.add_event_listener("connect", lambda event: event.socket.close())
        with connect_to("127.0.0.1", server.local_port) as client:
            assert receive_all(reactor, client) == b""


@on_posix
def test_aborting_the_socket_in_the_event_resets_the_client():
    reactor = current_reactor()
    done = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: done.append(event.socket.abort()))
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: done)
            with pytest.raises(ConnectionResetError):
                client.recv(1)


def test_what_is_written_in_the_event_arrives():
    reactor = current_reactor()
    with listening() as server:

        def greet(event):
            event.socket.write(b"welcome")
            event.socket.close()

        server.add_event_listener("connect", greet)
        with connect_to("127.0.0.1", server.local_port) as client:
            assert receive_all(reactor, client) == b"welcome"


def test_event_may_be_kept_and_its_socket_used_later():
    reactor = current_reactor()
    events = []
    with listening() as server:
        server.add_event_listener("connect", events.append)
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: events)
            gc.collect()
            settle(reactor)
            it = events[0].socket
            assert it.connected
            it.write(b"late")
            it.close()
            assert receive_all(reactor, client) == b"late"


def test_every_client_has_its_own_socket():
    reactor = current_reactor()
    accepted = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: accepted.append(event.socket))
        clients = [connect_to("127.0.0.1", server.local_port) for _ in range(20)]
        run_until(reactor, lambda: len(accepted) == 20)
        assert len({id(it) for it in accepted}) == 20
        assert [it.remote_port for it in accepted] == [it.getsockname()[1] for it in clients]
        for it in (*accepted, *clients):
            it.close()


def test_accepted_sockets_outlive_their_server():
    reactor = current_reactor()
    with listening() as server:
        logs = []
        server.add_event_listener("connect", lambda event: logs.append(Log(event.socket)))
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: logs)
            server.close()
            client.sendall(b"still there?")
            run_until(reactor, lambda: logs[0].data == b"still there?")
            it = logs[0].events[0].target
            it.write(b"yes")
            it.close()
            assert receive_all(reactor, client) == b"yes"


def test_all_listeners_get_the_same_socket_by_priority():
    reactor = current_reactor()
    seen = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: seen.append(("low", event.socket)), priority=-1)
        server.add_event_listener("connect", lambda event: seen.append(("high", event.socket)), priority=1)
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: len(seen) == 2)
            assert [name for name, _ in seen] == ["high", "low"]
            assert seen[0][1] is seen[1][1]
            seen[0][1].close()
            assert receive_all(reactor, client) == b""


def test_listener_without_parameters_is_called():
    reactor = current_reactor()
    told = []

    def listener():
        told.append(True)

    with listening() as server:
        server.add_event_listener("connect", listener)
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: told)
            run_until(reactor, lambda: ended(client))


def test_run_serves_until_stop():
    with listening() as server:

        def accept(event):
            event.socket.close()
            serversocket.stop()

        server.add_event_listener("connect", accept)
        with connect_to("127.0.0.1", server.local_port) as client:
            serversocket.run()
            assert client.recv(1) == b""

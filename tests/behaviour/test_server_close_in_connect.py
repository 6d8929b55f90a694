from __future__ import annotations

import contextlib

import pytest

import serversocket
from serversocket import ServerSocket, Socket
from serversocket.loop.reactor import current_reactor

from .helpers import FAMILIES, connect_to, listening, run_until, settle


@pytest.mark.parametrize("host", FAMILIES)
def test_no_connect_after_the_close(host):
    reactor = current_reactor()
    accepted = []

    def accept(event):
        accepted.append(event.socket)
        server.close()

    with listening(host) as server:
        server.add_event_listener("connect", accept)
        clients = [connect_to(host, server.local_port) for _ in range(10)]
        run_until(reactor, lambda: accepted)
        settle(reactor)
        assert len(accepted) == 1
        assert accepted[0].connected
        assert not server.bound
        for it in (*accepted, *clients):
            it.close()


def test_second_close_in_the_listener_raises_there():
    reactor = current_reactor()
    errors = []

    def accept(event):
        event.socket.close()
        server.close()
        with pytest.raises(serversocket.IOError) as caught:
            server.close()
        errors.append(caught.value.error_id)

    with listening() as server:
        server.add_event_listener("connect", accept)
        with connect_to("127.0.0.1", server.local_port):
            run_until(reactor, lambda: errors)
    assert errors == [2002]


def test_no_connect_after_the_listener_was_removed():
    reactor = current_reactor()
    accepted = []

    def accept(event):
        accepted.append(event.socket)
        server.remove_event_listener("connect", accept)

    with listening() as server:
        server.add_event_listener("connect", accept)
        clients = [connect_to("127.0.0.1", server.local_port) for _ in range(10)]
        run_until(reactor, lambda: accepted)
        settle(reactor)
        assert len(accepted) == 1
        for it in (*accepted, *clients):
            it.close()


def test_other_listeners_of_the_same_event_are_still_called():
    reactor = current_reactor()
    told = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: server.close())
        server.add_event_listener("connect", lambda event: (told.append(event.socket.connected), event.socket.close()))
        with connect_to("127.0.0.1", server.local_port):
            run_until(reactor, lambda: told)
    assert told == [True]


def test_listening_anew_in_the_listener_serves_the_new_port():
    reactor = current_reactor()
    ports = []

    def accept(event):
        ports.append(event.socket.local_port)
        event.socket.close()
        if len(ports) == 1:
            server.close()
            server.bind(0, "127.0.0.1")
            server.listen()

    with listening() as server:
        server.add_event_listener("connect", accept)
        first = server.local_port
        waiting = [connect_to("127.0.0.1", first) for _ in range(3)]
        run_until(reactor, lambda: ports)
        settle(reactor)
        assert ports == [first]
        with connect_to("127.0.0.1", server.local_port):
            run_until(reactor, lambda: len(ports) == 2)
        assert ports == [first, server.local_port]
        for it in waiting:
            it.close()


def test_closing_another_server_in_the_same_batch_silences_it():
    reactor = current_reactor()
    told = []
    servers = [ServerSocket() for _ in range(4)]

    def accept(event):
        told.append(event.target)
        event.socket.close()
        for server in servers:
            if server is not event.target and server.bound:
                server.close()

    clients = []
    for server in servers:
        server.bind(0, "127.0.0.1")
        server.listen()
        server.add_event_listener("connect", accept)
        clients.append(connect_to("127.0.0.1", server.local_port))
    run_until(reactor, lambda: told)
    settle(reactor)
    assert len(told) == 1
    told[0].close()
    for client in clients:
        client.close()


@pytest.mark.parametrize("action", ["close", "remove"])
def test_a_class_of_sockets_whose_making_ends_the_server(action):
    """As a finalizer may that runs meanwhile: nobody hears of a client after `close`."""
    heard = []
    with listening() as server:

        class Making(Socket):
            def __new__(cls, *arguments):
                if action == "close":
                    server.close()
                else:
                    server.remove_event_listener("connect", heard.append)
                return super().__new__(cls)

        server.add_event_listener("connect", heard.append)
        server._socket_class = Making
        with connect_to("127.0.0.1", server.local_port) as peer:
            run_until(server.reactor, lambda: not server.has_event_listener("connect") or not server.bound)
            assert len(heard) == (action == "remove")
            if action == "close":
                with contextlib.suppress(ConnectionResetError):
                    assert peer.recv(1) == b""
            for event in heard:
                event.socket.close()

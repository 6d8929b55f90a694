"""Clients that have sent before they are accepted: what they sent may be read at once, before the system was asked."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from serversocket import ServerSocket
from serversocket.loop.reactor import current_reactor

from .helpers import connect_to, receive_all, receive_exactly, reset, run_until

CLIENTS = 40  # enough for a server to learn what its clients do


@pytest.fixture
def server():
    accepted = []
    with ServerSocket() as server:
        server.add_event_listener("connect", lambda event: accepted.append(event.socket), priority=1)
        server.bind(0, "127.0.0.1")
        server.listen()
        yield server
    for socket in accepted:
        if socket.connected:
            socket.close()


def request(server, number, clients):
    peer = clients.enter_context(connect_to("127.0.0.1", server.local_port))
    peer.sendall(b"%04d" % number)
    return peer


def test_each_is_answered_and_closed(server):
    def answer(event):
        event.target.write(event.target.read()[::-1])
        event.target.close()

    server.add_event_listener("connect", lambda event: event.socket.add_event_listener("socketData", answer))
    with ExitStack() as clients:
        peers = [request(server, number, clients) for number in range(CLIENTS)]
        for number, peer in enumerate(peers):
            assert receive_exactly(current_reactor(), peer, 4) == (b"%04d" % number)[::-1]
        for peer in peers:
            assert receive_all(current_reactor(), peer) == b""


def test_events_come_in_order_and_nothing_is_missing(server):
    events = {}

    def connected(event):
        socket = event.socket
        seen = events[socket.remote_port] = ["connect"]
        socket.add_event_listener("socketData", lambda event: seen.append(event.target.read()))
        socket.add_event_listener("close", lambda event: seen.append("close"))

    server.add_event_listener("connect", connected)
    with ExitStack() as clients:
        expected = {}
        for number in range(CLIENTS):
            peer = request(server, number, clients)
            port = peer.getsockname()[1]
            expected[port] = ["connect", b"%04d" % number]
            if number % 3 == 0:
                peer.close()
                expected[port].append("close")
        run_until(current_reactor(), lambda: events == expected)


def test_a_client_that_has_reset_is_told_of_once(server):
    events = []

    def connected(event):
        for type in ("socketData", "ioError", "close"):
            event.socket.add_event_listener(type, lambda event: events.append(event.type))

    server.add_event_listener("connect", connected)
    with ExitStack() as clients:
        for number in range(CLIENTS):
            reset(request(server, number, clients))
        run_until(current_reactor(), lambda: events.count("close") == CLIENTS)
    assert events.count("ioError") == CLIENTS


@pytest.mark.parametrize("end", ["close", "abort"])
def test_the_listener_of_connect_may_end_it(server, end):
    ends = []

    def connected(event):
        event.socket.add_event_listener("socketData", ends.append)
        getattr(event.socket, end)()
        ends.append(end)

    server.add_event_listener("connect", connected)
    with ExitStack() as clients:
        for number in range(CLIENTS):
            request(server, number, clients)
        run_until(current_reactor(), lambda: len(ends) >= CLIENTS)
        assert ends == [end] * CLIENTS


def test_the_server_may_be_closed_by_who_reads(server):
    received = []

    def read(event):
        received.append(event.target.read())
        if len(received) == CLIENTS // 2:
            server.close()

    server.add_event_listener("connect", lambda event: event.socket.add_event_listener("socketData", read))
    with ExitStack() as clients:
        for number in range(CLIENTS):
            request(server, number, clients)
        run_until(current_reactor(), lambda: len(received) >= CLIENTS // 2)
    assert set(received) <= {b"%04d" % number for number in range(CLIENTS)}
    assert len(set(received)) == len(received)


def test_an_interrupt_in_the_listener_of_connect_loses_nothing(server):
    received = []

    def connected(event):
        event.socket.add_event_listener("socketData", lambda event: received.append(event.target.read()))
        raise KeyboardInterrupt

    server.add_event_listener("connect", connected)
    interrupts = 0
    with ExitStack() as clients:
        for number in range(CLIENTS):
            request(server, number, clients)
        while len(received) < CLIENTS:
            try:
                current_reactor().poll(5)
            except KeyboardInterrupt:
                interrupts += 1
    assert interrupts == CLIENTS
    assert sorted(received) == [b"%04d" % number for number in range(CLIENTS)]

from __future__ import annotations

import os
import socket

import pytest

import serversocket
from serversocket.loop.reactor import current_reactor

from .helpers import FAMILIES, connect_to, listening, on_linux, open_descriptors, run_until, settle

pytestmark = on_linux


def shut_down(server):
    """What happens when whoever shares the descriptor, or the system itself, ends the listening."""
    with socket.socket(fileno=os.dup(server.fileno())) as duplicate:
        duplicate.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize("host", FAMILIES)
@pytest.mark.parametrize("accepting", [True, False])
def test_close_is_told_exactly_once(host, accepting):
    reactor = current_reactor()
    told = []
    with listening(host) as server:
        before = open_descriptors() - {server.fileno()}
        server.add_event_listener("close", told.append)
        if accepting:
            server.add_event_listener("connect", lambda event: event.socket.close())
        shut_down(server)
        run_until(reactor, lambda: told)
        assert [(event.type, event.target, type(event)) for event in told] == [("close", server, serversocket.Event)]
        assert (server.bound, server.listening, server.local_address, server.local_port) == (False, False, None, 0)
        assert open_descriptors() == before
        settle(reactor)
        assert len(told) == 1
        with pytest.raises(serversocket.IOError):
            server.close()


def test_state_is_fresh_in_the_listener_and_it_may_be_bound_there():
    reactor = current_reactor()
    states = []

    def closed(event):
        states.append((server.bound, server.listening, server.local_port))
        server.bind(0, "127.0.0.1")
        server.listen()

    with listening() as server:
        server.add_event_listener("close", closed)
        server.add_event_listener("connect", lambda event: (states.append("connect"), event.socket.close()))
        shut_down(server)
        run_until(reactor, lambda: states)
        with connect_to("127.0.0.1", server.local_port):
            run_until(reactor, lambda: len(states) == 2)
    assert states == [(False, False, 0), "connect"]


def test_run_ends_when_nothing_else_is_open():
    told = []
    with listening() as server:
        server.add_event_listener("close", told.append)
        server.add_event_listener("connect", print)
        shut_down(server)
        serversocket.run()
    assert len(told) == 1


def test_without_listeners_it_is_closed_all_the_same():
    reactor = current_reactor()
    with listening() as server:
        shut_down(server)
        run_until(reactor, lambda: not server.bound)
        settle(reactor)


def test_shut_down_inside_its_own_connect_listener():
    reactor = current_reactor()
    told = []

    def accept(event):
        told.append("connect")
        event.socket.close()
        shut_down(server)

    with listening() as server:
        server.add_event_listener("connect", accept)
        server.add_event_listener("close", lambda event: told.append("close"))
        clients = [connect_to("127.0.0.1", server.local_port) for _ in range(5)]
        run_until(reactor, lambda: "close" in told)
        settle(reactor)
        assert told.count("close") == 1
        assert told[-1] == "close"
        for client in clients:
            client.close()


def test_accepted_connections_live_on():
    reactor = current_reactor()
    accepted = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: accepted.append(event.socket))
        with connect_to("127.0.0.1", server.local_port) as client:
            run_until(reactor, lambda: accepted)
            shut_down(server)
            run_until(reactor, lambda: not server.bound)
            accepted[0].write(b"still here")
            accepted[0].flush()
            assert client.recv(100) == b"still here"
            accepted[0].close()


def test_own_close_after_the_shutdown_is_no_event():
    reactor = current_reactor()
    told = []
    with listening() as server:
        server.add_event_listener("close", told.append)
        shut_down(server)
        server.close()
        settle(reactor)
    assert told == []

"""`max_connections`: clients beyond it are told at once."""

from __future__ import annotations

import contextlib
import gc

import pytest

from serversocket import RangeError, ServerSocket
from serversocket.loop.reactor import current_reactor

from .helpers import Log, connect_to, ended, listening, pattern, receive_all, run_until, settle


def test_clients_beyond_it_are_closed_at_once_and_counted():
    reactor = current_reactor()
    logs = []
    with listening() as server, contextlib.ExitStack() as stack:
        server.max_connections = 2
        server.add_event_listener("connect", lambda event: logs.append(Log(event.socket)))
        clients = [stack.enter_context(connect_to("127.0.0.1", server.local_port)) for _ in range(5)]
        run_until(reactor, lambda: server.turned_away == 3)
        assert len(logs) == 2
        assert server.connections == 2
        assert [ended(client) for client in clients] == [False, False, True, True, True]
        for client in clients:
            client.close()
        run_until(reactor, lambda: server.connections == 0)


def test_there_is_room_when_one_has_gone():
    reactor = current_reactor()
    logs = []
    with listening() as server:
        server.max_connections = 1
        server.add_event_listener("connect", lambda event: logs.append(Log(event.socket)))
        for number in range(1, 4):
            with connect_to("127.0.0.1", server.local_port):
                run_until(reactor, lambda number=number: len(logs) == number)
                assert server.connections == 1
            run_until(reactor, lambda: server.connections == 0)
        assert server.turned_away == 0


def test_every_end_of_a_connection_is_counted():
    reactor = current_reactor()
    accepted = []
    with listening() as server, contextlib.ExitStack() as stack:
        server.add_event_listener("connect", lambda event: accepted.append(event.socket))
        peers = [stack.enter_context(connect_to("127.0.0.1", server.local_port)) for _ in range(5)]
        run_until(reactor, lambda: len(accepted) == 5)
        assert server.connections == 5
        accepted.pop().close()
        assert server.connections == 4
        accepted.pop().abort()
        assert server.connections == 3
        for peer in peers:
            peer.close()
        run_until(reactor, lambda: not accepted[0].connected)
        accepted.clear()
        gc.collect()
        settle(reactor)
        assert server.connections == 0


def test_a_connection_that_still_sends_its_last_counts():
    reactor = current_reactor()
    accepted = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: accepted.append(event.socket))
        with connect_to("127.0.0.1", server.local_port) as peer:
            run_until(reactor, lambda: accepted)
            data = pattern(8_000_000)
            accepted[0].write(data)
            accepted[0].close()
            assert server.connections == 1
            assert receive_all(reactor, peer) == data
        run_until(reactor, lambda: server.connections == 0)


def test_connections_outlive_the_closing_of_their_server():
    reactor = current_reactor()
    accepted = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: accepted.append(event.socket))
        with connect_to("127.0.0.1", server.local_port):
            run_until(reactor, lambda: accepted)
            server.close()
            assert server.connections == 1
            accepted.pop().close()
            assert server.connections == 0


@pytest.mark.parametrize("value", [0, -1])
def test_a_number_that_is_not_positive_is_a_range_error(value):
    server = ServerSocket()
    with pytest.raises(RangeError, match=f"#2006.*max_connections: {value}"):
        server.max_connections = value
    assert server.max_connections is None


@pytest.mark.parametrize("value", ["1", 1.5, True])
def test_what_is_no_integer_is_a_type_error(value):
    with pytest.raises(TypeError, match="max_connections must be an integer"):
        ServerSocket().max_connections = value


def test_it_can_be_set_and_taken_back():
    server = ServerSocket()
    server.max_connections = 5
    assert (server.max_connections, server.maxConnections) == (5, 5)
    server.max_connections = None
    assert server.max_connections is None

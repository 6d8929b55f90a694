from __future__ import annotations

import threading

import pytest

import serversocket
from serversocket import Reactor
from serversocket.loop.reactor import current_reactor

from .helpers import connect_to, connection, listening


def test_run_returns_at_once_when_nothing_is_open():
    assert serversocket.run() is None


def test_stop_before_run_ends_the_next_run_and_only_that():
    reactor = current_reactor()
    calls = []
    with listening() as server:
        server.add_event_listener("connect", print)
        serversocket.stop()
        serversocket.run()
        reactor.call_later(0, lambda: (calls.append(1), reactor.stop()))
        serversocket.run()
        assert calls == [1]


def test_stop_in_a_listener_ends_run_after_the_turn():
    seen = []
    with listening() as server:

        def accept(event):
            seen.append(event.type)
            event.socket.close()
            serversocket.stop()

        server.add_event_listener("connect", accept)
        clients = [connect_to("127.0.0.1", server.local_port) for _ in range(3)]
        serversocket.run()
        assert 1 <= len(seen) <= 3
        for client in clients:
            client.close()


def test_stop_from_another_thread_wakes_run():
    reactor = current_reactor()
    with listening() as server:
        server.add_event_listener("connect", print)
        started = threading.Event()
        thread = threading.Thread(target=lambda: (started.wait(60), reactor.stop()))
        thread.start()
        reactor.call_later(0, started.set)
        reactor.run()
        thread.join()
        assert server.listening


def test_run_ends_when_the_last_connection_closes():
    with connection() as it:
        it.peer.close()
        serversocket.run()
        assert it.log.types == ["close"]


def test_run_ends_when_the_server_closes():
    reactor = current_reactor()
    with listening() as server:
        server.add_event_listener("connect", print)
        reactor.call_later(0.001, server.close)
        reactor.run()
        assert not server.bound


def test_run_waits_for_timers_and_calls():
    reactor = current_reactor()
    calls = []
    reactor.call_later(0.001, lambda: reactor.call_soon_threadsafe(calls.append, 1))
    reactor.run()
    assert calls == [1]


def test_run_sends_what_was_written_before_it():
    with connection(types=()) as it:
        it.socket.write(b"hello")
        it.socket.close()
        serversocket.run()
        assert it.peer.recv(10) == b"hello"


def test_stop_twice_is_one_stop():
    reactor = current_reactor()
    reactor.stop()
    reactor.stop()
    reactor.run()
    calls = []
    reactor.call_later(0, calls.append, 1)
    reactor.run()
    assert calls == [1]


def test_running_is_told():
    reactor = current_reactor()
    seen = []
    assert not reactor.running
    reactor.call_later(0, lambda: seen.append(reactor.running))
    reactor.run()
    assert seen == [True]
    assert not reactor.running
    reactor.call_later(0, lambda: seen.append(reactor.running))
    while len(seen) < 2:
        reactor.poll(0.01)
    assert seen == [True, False]


def test_stop_does_not_shorten_what_poll_delivers():
    reactor = current_reactor()
    calls = []
    reactor.call_soon_threadsafe(calls.append, 1)
    reactor.stop()
    while not calls:
        reactor.poll(0.01)
    reactor.run()


def test_close_ends_everything_without_events():
    reactor = Reactor()
    server = serversocket.ServerSocket(reactor=reactor)
    told = []
    for type in ("close", "connect"):
        server.add_event_listener(type, told.append)
    server.bind(0, "127.0.0.1")
    server.listen()
    reactor.call_later(0, told.append, "timer")
    reactor.call_soon_threadsafe(told.append, "call")
    assert not reactor.closed
    reactor.close()
    assert reactor.closed
    assert told == []
    assert (server.bound, server.listening, server.local_port) == (False, False, 0)
    reactor.close()


@pytest.mark.parametrize(
    "use",
    [
        lambda reactor: reactor.run(),
        lambda reactor: reactor.poll(0),
        lambda reactor: reactor.fileno(),
        lambda reactor: reactor.call_later(0, print),
        lambda reactor: reactor.call_soon_threadsafe(print),
        lambda reactor: serversocket.ServerSocket(reactor=reactor),
        lambda reactor: serversocket.Socket(reactor=reactor),
    ],
)
def test_closed_reactor_says_so(use):
    reactor = Reactor()
    reactor.close()
    with pytest.raises(RuntimeError, match="closed"):
        use(reactor)


def test_objects_of_a_closed_reactor_are_refused():
    reactor = Reactor()
    server, it = serversocket.ServerSocket(reactor=reactor), serversocket.Socket(reactor=reactor)
    reactor.close()
    with pytest.raises((RuntimeError, OSError)):
        server.bind(0, "127.0.0.1")
    assert not server.bound
    with pytest.raises((RuntimeError, OSError)):
        it.connect("127.0.0.1", 9)
    assert not it.connected


def test_close_inside_a_turn_is_refused():
    reactor = current_reactor()
    errors = []

    def close():
        with pytest.raises(RuntimeError):
            reactor.close()
        errors.append(1)

    reactor.call_later(0, close)
    reactor.run()
    assert errors == [1]
    assert not reactor.closed


def test_a_closed_reactor_of_the_thread_is_replaced():
    first = current_reactor()
    first.close()
    second = current_reactor()
    assert second is not first
    assert not second.closed
    with serversocket.ServerSocket() as server:
        assert server.reactor is second
        server.bind(0, "127.0.0.1")


def test_reactor_that_is_dropped_leaves_nothing():
    reactor = Reactor()
    reactor.fileno()
    reactor.call_later(1000, print)
    del reactor

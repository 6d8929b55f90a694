from __future__ import annotations

import select
import socket

import pytest

import serversocket
from serversocket import Reactor
from serversocket.loop.reactor import current_reactor

from .helpers import PATIENCE, Log, connect_to, connection, in_time, listening, on_posix, settle, unused_port, within

pytestmark = on_posix


def readable(reactor, seconds=0.0) -> bool:
    return bool(select.select([reactor.fileno()], [], [], seconds)[0])


# Polls only when the descriptor asks for it, as another loop would.
def host_until(reactor, predicate):
    while not predicate():
        assert readable(reactor, PATIENCE), "the descriptor does not become readable"
        reactor.poll(0)


def test_quiet_when_there_is_no_work():
    reactor = current_reactor()
    assert not readable(reactor)
    with listening() as server:
        server.add_event_listener("connect", print)
        assert not readable(reactor)


def test_it_is_one_descriptor_for_good():
    reactor = current_reactor()
    assert reactor.fileno() == reactor.fileno() >= 0


def test_readable_for_connections_data_and_the_end():
    reactor = current_reactor()
    logs = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: logs.append(Log(event.socket)))
        reactor.fileno()
        with connect_to("127.0.0.1", server.local_port) as client:
            host_until(reactor, lambda: logs)
            client.sendall(b"data")
            host_until(reactor, lambda: logs[0].data == b"data")
        host_until(reactor, lambda: logs[0].count("close"))
        settle(reactor)
        assert not readable(reactor)


def test_readable_when_a_timer_is_due_and_not_before():
    reactor = current_reactor()
    calls = []
    reactor.fileno()
    handle = reactor.call_later(1000, calls.append, "far")
    assert not readable(reactor)
    reactor.call_later(0.01, calls.append, "near")
    host_until(reactor, lambda: calls)
    assert calls == ["near"]
    settle(reactor)
    assert not readable(reactor)
    handle.cancel()


def test_timer_set_before_it_was_hosted():
    reactor = current_reactor()
    calls = []
    reactor.call_later(0.001, calls.append, 1)
    host_until(reactor, lambda: calls)


def test_readable_at_once_for_a_timer_that_is_due_already():
    reactor = current_reactor()
    calls = []
    reactor.fileno()
    for number in range(100):
        reactor.call_later(0, calls.append, number)
        assert readable(reactor)
        reactor.poll(0)
        assert calls.pop() == number
        settle(reactor)


def test_timer_that_was_cancelled_is_no_work():
    reactor = current_reactor()
    reactor.fileno()

    def attempt(seconds):
        settle(reactor)
        with within(seconds):
            reactor.call_later(seconds, print).cancel()
        assert not readable(reactor, 1.5 * seconds)

    in_time(attempt)


def test_timers_one_after_the_other():
    reactor = current_reactor()
    reactor.fileno()
    calls = []

    def again():
        calls.append(1)
        if len(calls) < 5:
            reactor.call_later(0.001, again)

    reactor.call_later(0, again)
    host_until(reactor, lambda: len(calls) == 5)


def test_readable_for_calls_from_other_threads():
    reactor = current_reactor()
    reactor.fileno()
    calls = []
    reactor.call_soon_threadsafe(calls.append, 1)
    host_until(reactor, lambda: calls)
    settle(reactor)
    assert not readable(reactor)


def test_calls_that_add_calls():
    reactor = current_reactor()
    reactor.fileno()
    calls = []

    def again():
        calls.append(1)
        if len(calls) < 5:
            reactor.call_soon_threadsafe(again)

    again()
    host_until(reactor, lambda: len(calls) == 5)


def test_readable_while_output_is_not_flushed():
    with connection() as it:
        it.reactor.fileno()
        settle(it.reactor)
        it.socket.write(b"unflushed")
        assert readable(it.reactor)
        host_until(it.reactor, lambda: it.log.count("outputProgress"))
        assert it.peer.recv(100) == b"unflushed"
        settle(it.reactor)
        assert not readable(it.reactor)


def test_output_written_before_it_was_hosted():
    with connection() as it:
        settle(it.reactor)
        it.socket.write(b"unflushed")
        host_until(it.reactor, lambda: it.log.count("outputProgress"))


def test_readable_for_progress_after_a_flush():
    with connection() as it:
        it.reactor.fileno()
        settle(it.reactor)
        it.socket.write(b"x")
        it.socket.flush()
        assert readable(it.reactor)
        host_until(it.reactor, lambda: it.log.count("outputProgress"))


def test_what_the_last_step_postpones_is_work():
    with connection(types=()) as it:
        it.reactor.fileno()
        told = []

        def more(event):
            told.append(1)
            if len(told) < 5:
                it.socket.write(b"x")
                it.socket.flush()

        it.socket.add_event_listener("outputProgress", more)
        it.socket.write(b"x")
        host_until(it.reactor, lambda: len(told) == 5)


def test_unflushed_output_of_a_last_step_is_work():
    with connection(types=()) as it:
        it.reactor.fileno()
        told = []

        def more(event):
            told.append(1)
            if len(told) < 5:
                it.socket.write(b"x")

        it.socket.add_event_listener("outputProgress", more)
        it.socket.write(b"x")
        host_until(it.reactor, lambda: len(told) == 5)


def test_readable_for_connecting_and_failing():
    reactor = current_reactor()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        reactor.fileno()
        it = serversocket.Socket("127.0.0.1", listener.getsockname()[1])
        log = Log(it)
        host_until(reactor, lambda: log.count("connect"))
        it.close()
    it.connect("127.0.0.1", unused_port())
    host_until(reactor, lambda: log.count("ioError"))


def test_connect_that_fails_at_once_is_work():
    reactor = current_reactor()
    reactor.fileno()
    it = serversocket.Socket("255.255.255.255", 9)
    log = Log(it)
    host_until(reactor, lambda: log.count("ioError"))


def test_work_that_was_left_by_an_interrupt_is_still_work():
    with connection() as it:
        it.reactor.fileno()
        calls = []

        def interrupt():
            raise KeyboardInterrupt

        it.reactor.call_soon_threadsafe(interrupt)
        it.reactor.call_soon_threadsafe(calls.append, 1)
        with pytest.raises(KeyboardInterrupt):
            host_until(it.reactor, lambda: calls)
        host_until(it.reactor, lambda: calls)


def test_closed_reactor_has_none():
    reactor = Reactor()
    reactor.fileno()
    reactor.close()
    with pytest.raises(RuntimeError, match="closed"):
        reactor.fileno()


def test_paused_accepting_is_no_work():
    with listening() as server, connect_to("127.0.0.1", server.local_port):
        reactor = current_reactor()
        settle(reactor)
        assert not readable(reactor)

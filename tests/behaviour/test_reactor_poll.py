from __future__ import annotations

import math
import time

import pytest

from serversocket.loop.reactor import current_reactor

from .helpers import connect_to, connection, listening


def test_nothing_ready_is_0():
    assert current_reactor().poll(0) == 0


def test_integers_and_floats_are_taken():
    reactor = current_reactor()
    for timeout in (0, 0.0, -0.0, 1e-9, 0.001):
        assert reactor.poll(timeout) == 0


@pytest.mark.parametrize("timeout", [-1, -0.001, math.nan, -math.inf, -(10**400)])
def test_negative_timeout_is_refused(timeout):
    with pytest.raises(ValueError, match="timeout"):
        current_reactor().poll(timeout)


@pytest.mark.parametrize("timeout", ["1", b"1", [], True, 1j, object()])
def test_timeout_that_is_no_number_is_refused(timeout):
    with pytest.raises(TypeError):
        current_reactor().poll(timeout)


@pytest.mark.parametrize("timeout", [None, math.inf, 1e300, 2**31, 2**40, 10.0**12, 10**100, 10**400])
def test_long_timeouts_wait_for_what_comes(timeout):
    reactor = current_reactor()
    calls = []
    reactor.call_later(0.001, calls.append, 1)
    assert reactor.poll(timeout) == 1
    assert calls == [1]


def test_timer_is_never_early():
    reactor = current_reactor()
    due = time.monotonic() + 0.01
    late = []
    reactor.call_later(0.01, lambda: late.append(time.monotonic() - due))
    reactor.run()
    assert late[0] >= -1e-6


def test_what_was_handled_is_counted():
    reactor = current_reactor()
    calls = []
    for number in range(3):
        reactor.call_later(0, calls.append, number)
    reactor.call_soon_threadsafe(calls.append, "call")
    handled = 0
    while len(calls) < 4:
        handled += reactor.poll(0.01)
    assert handled == 4
    assert reactor.poll(0) == 0


def test_ready_descriptors_are_counted():
    with connection() as one, connection() as two:
        one.peer.sendall(b"1")
        two.peer.sendall(b"2")
        assert one.reactor.poll(1) == 2
        assert (one.log.data, two.log.data) == (b"1", b"2")


def test_one_poll_delivers_more_than_one_batch_of_the_kernel():
    reactor = current_reactor()
    told = []
    with listening() as server:
        sockets = []
        server.add_event_listener("connect", lambda event: sockets.append(event.socket))
        clients = [connect_to("127.0.0.1", server.local_port) for _ in range(400)]
        while len(sockets) < 400:
            reactor.poll(0.1)
        for it, client in zip(sockets, clients, strict=True):
            it.add_event_listener("socketData", lambda event: told.append(event.target.read()))
            client.sendall(b"x")
        while len(told) < 400:
            assert reactor.poll(0.5) > 0
        assert told == [b"x"] * 400
        for it in (*sockets, *clients):
            it.close()


def test_progress_of_an_output_is_counted():
    with connection() as it:
        it.socket.write(b"x")
        it.socket.flush()
        assert it.reactor.poll(0) == 1
        assert it.log.types == ["outputProgress"]
        assert it.reactor.poll(0) == 0


def test_order_of_a_turn():
    order = []
    with connection() as it:
        reactor = it.reactor
        it.socket.add_event_listener("socketData", lambda event: order.append("data"))
        it.socket.add_event_listener("outputProgress", lambda event: order.append("progress"))
        it.socket.write(b"x")
        it.socket.flush()
        reactor.call_soon_threadsafe(order.append, "call")
        reactor.call_later(0, order.append, "timer")
        it.peer.sendall(b"y")
        while len(order) < 4:
            reactor.poll(0.01)
        assert order == ["data", "timer", "call", "progress"]


def test_what_is_postponed_during_the_last_step_waits_for_the_next_turn():
    told = []
    with connection(types=()) as it:

        def more(event):
            told.append(event.bytes_total)
            if len(told) < 3:
                it.socket.write(b"x")
                it.socket.flush()

        it.socket.add_event_listener("outputProgress", more)
        it.socket.write(b"x")
        it.socket.flush()
        for expected in (1, 2, 3):
            it.reactor.poll(0)
            assert len(told) == expected


def test_output_that_goes_out_in_several_pieces_is_told_of_and_counted_once():
    told = []
    with connection(types=()) as it:
        it.socket.add_event_listener("outputProgress", lambda event: told.append(event.bytes_total))
        for _ in range(3):
            it.socket.write(b"x")
            it.socket.flush()
        assert it.reactor.poll(0) == 1
        assert told == [3]

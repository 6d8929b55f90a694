from __future__ import annotations

import contextlib
import select
import signal
import socket
import threading
import time

import pytest

from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import (
    EVENTS,
    PATIENCE,
    connect_to,
    connection,
    half_open,
    listening,
    on_posix,
    open_as_ever,
    pattern,
    paused,
    receive_exactly,
    reset,
    run_until,
    settle,
)


def interrupt(event=None):
    raise KeyboardInterrupt


def call_from_another_thread(reactor, callback):
    thread = threading.Thread(target=reactor.call_soon_threadsafe, args=(callback,))
    thread.start()
    thread.join()


def test_timer_that_is_interrupted_loses_no_call_of_another_thread():
    reactor = current_reactor()
    with listening() as server:
        server.add_event_listener("connect", print)
        call_from_another_thread(reactor, reactor.stop)
        reactor.call_later(0, interrupt)
        with pytest.raises(KeyboardInterrupt):
            reactor.run()
        reactor.run()  # would wait for ever without the call


@on_posix
def test_timer_that_is_interrupted_leaves_the_descriptor_readable():
    reactor = current_reactor()
    called = []
    number = reactor.fileno()
    call_from_another_thread(reactor, lambda: called.append(True))
    reactor.call_later(0, interrupt)
    with pytest.raises(KeyboardInterrupt):
        reactor.poll(0)
    assert called or select.select([number], [], [], PATIENCE)[0]
    run_until(reactor, lambda: called)


def test_call_that_is_interrupted_loses_no_other_call():
    reactor = current_reactor()
    with listening() as server:
        server.add_event_listener("connect", print)
        call_from_another_thread(reactor, interrupt)
        call_from_another_thread(reactor, reactor.stop)
        with pytest.raises(KeyboardInterrupt):
            reactor.run()
        reactor.run()


def test_listener_that_is_interrupted_loses_no_call_of_another_thread():
    with connection(reading=False, types=("close",)) as it:
        it.socket.add_event_listener("socketData", interrupt)
        it.peer.sendall(b"data")
        call_from_another_thread(it.reactor, it.reactor.stop)
        with pytest.raises(KeyboardInterrupt):
            it.reactor.run()
            it.reactor.run()  # where the call came before the data
            pytest.fail("neither the call nor the data came")
        it.socket.remove_event_listener("socketData", interrupt)
        it.reactor.call_soon_threadsafe(it.reactor.stop)
        it.reactor.run()
        assert it.socket.read() == b"data"


def test_listener_of_an_error_that_is_interrupted_loses_no_close():
    with connection(types=("socketData", "close")) as it:
        it.socket.add_event_listener("ioError", interrupt)
        reset(it.peer)
        with pytest.raises(KeyboardInterrupt):
            it.until_event("never")
        it.until_event("close")
        assert it.log.types == ["close"]
        assert not it.socket.connected


def test_listener_of_data_that_is_interrupted_loses_no_input():
    with connection(types=("close",)) as one, connection() as other:
        one.socket.add_event_listener("socketData", interrupt)
        one.peer.sendall(b"for one")
        other.peer.sendall(b"for the other")
        with pytest.raises(KeyboardInterrupt):
            one.until_event("never")
        one.socket.remove_event_listener("socketData", interrupt)
        other.until(lambda: other.log.data == b"for the other")
        one.peer.sendall(b", and more")
        one.until(lambda: one.socket.bytes_available == len(b"for one, and more"))
        assert one.socket.read() == b"for one, and more"


def test_listener_of_connect_that_is_interrupted_loses_no_input():
    accepted = []

    def accept(event):
        accepted.append(event.socket)
        raise KeyboardInterrupt

    with listening() as server:
        server.add_event_listener("connect", accept)
        with connect_to("127.0.0.1", server.local_port) as peer:
            with pytest.raises(KeyboardInterrupt):
                run_until(server.reactor, lambda: False)
            with accepted.pop() as it:
                it.add_event_listener("close", print)
                peer.sendall(b"data")
                run_until(server.reactor, lambda: it.bytes_available)
                assert it.read() == b"data"


# ---- what was ready beside an interrupt is told once only where reading rests


def drain(peer):
    """All that is on its way to a plain socket; how much that was."""
    got = 0
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)  # small until now, so that output was left
    peer.setblocking(False)
    for _ in range(50):
        with contextlib.suppress(BlockingIOError):
            while chunk := peer.recv(1 << 20):
                got += len(chunk)
        time.sleep(0.002)
    return got


@pytest.fixture(params=[open_as_ever, paused, half_open])
def full(request):
    """A connection whose peer has fetched nothing yet, and how much is left for it to fetch."""
    with connection(types=(*EVENTS, "end"), receive_buffer=4096) as it:
        request.param(it)
        it.data = pattern(4_500_000)
        it.socket.write(it.data)
        settle(it.reactor)
        assert it.socket.bytes_pending
        yield it


def test_output_that_can_go_on_beside_a_listener_that_is_interrupted(full):
    with connection(types=()) as other:
        other.socket.add_event_listener("socketData", interrupt)
        other.peer.sendall(b"first in the batch")
        fetched = drain(full.peer)
        with pytest.raises(KeyboardInterrupt):
            other.until_event("never")
        other.socket.remove_event_listener("socketData", interrupt)
        assert len(receive_exactly(full.reactor, full.peer, len(full.data) - fetched)) + fetched == len(full.data)
        assert full.socket.bytes_pending == 0


@on_posix
def test_output_that_can_go_on_when_a_handler_of_a_signal_raises(full):
    fetched = []

    def fetch_while_a_signal_waits():
        time.sleep(0.05)  # until the reactor waits
        signal.raise_signal(signal.SIGUSR1)  # heard by the thread that waits, but only when it wakes up
        fetched.append(drain(full.peer))

    before = signal.signal(signal.SIGUSR1, lambda number, frame: interrupt())
    thread = threading.Thread(target=fetch_while_a_signal_waits)
    try:
        with pytest.raises(KeyboardInterrupt):
            thread.start()
            full.reactor.poll(10)
            full.until_event("never")
    finally:
        thread.join()
        signal.signal(signal.SIGUSR1, before)
    receive_exactly(full.reactor, full.peer, len(full.data) - fetched[0])
    assert full.socket.bytes_pending == 0


@pytest.mark.parametrize("state", [open_as_ever, half_open])
def test_a_reset_beside_a_listener_that_is_interrupted(state):
    with connection(types=("ioError", "close")) as it, connection(types=()) as other:
        state(it)
        other.socket.add_event_listener("socketData", interrupt)
        other.peer.sendall(b"first in the batch")
        reset(it.peer)
        with pytest.raises(KeyboardInterrupt):
            other.until_event("never")
        other.socket.remove_event_listener("socketData", interrupt)
        it.until_event("close")
        assert it.log.types == ["ioError", "close"]


@on_posix
def test_a_hosted_reactor_shows_what_an_interrupt_has_left(full):
    number = full.reactor.fileno()
    with connection(types=()) as other:
        other.socket.add_event_listener("socketData", interrupt)
        other.peer.sendall(b"first in the batch")
        fetched = drain(full.peer)
        with pytest.raises(KeyboardInterrupt):
            other.until_event("never")
        other.socket.remove_event_listener("socketData", interrupt)
        while fetched < len(full.data):
            assert select.select([number], [], [], PATIENCE)[0]
            full.reactor.poll(0)
            fetched += drain(full.peer)
        assert fetched == len(full.data)


def test_listener_of_progress_that_is_interrupted_leaves_nothing_spinning():
    with connection(types=("close",), receive_buffer=4096) as it:
        it.socket.write(pattern(4_500_000))
        settle(it.reactor)
        it.socket.add_event_listener("outputProgress", interrupt)
        with pytest.raises(KeyboardInterrupt):
            while True:
                drain(it.peer)
                it.reactor.poll(0.01)
        it.socket.remove_event_listener("outputProgress", interrupt)
        while it.socket.bytes_pending:
            drain(it.peer)
            it.reactor.poll(0.01)
        settle(it.reactor)


def test_a_listener_that_is_interrupted_at_the_end_leaves_the_rest_of_it_to_the_next_turn():
    """What had arrived is delivered, and the connection breaks: nobody else would come back to it."""
    with connection(types=("ioError", "close")) as it:
        it.socket.add_event_listener("socketData", interrupt)
        it.socket.pause()
        it.peer.sendall(b"data")
        it.socket.idle_timeout = 0.05
        with pytest.raises(KeyboardInterrupt):
            it.until_event("never")
        it.socket.remove_event_listener("socketData", interrupt)
        it.until_event("close")
        assert it.log.types == ["ioError", "close"]
        assert it.socket.read() == b"data"


def test_an_interrupt_just_before_the_calls_loses_none(monkeypatch):
    reactor = current_reactor()
    called = []
    reactor.call_soon_threadsafe(called.append, True)
    with monkeypatch.context() as patches:
        patches.setattr(type(reactor), "_run_calls", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_until(reactor, lambda: called)
    run_until(reactor, lambda: called)


def test_a_hosted_reactor_shows_the_calls_that_an_interrupt_has_left(monkeypatch):
    reactor = current_reactor()
    called = []
    number = reactor.fileno()
    reactor.call_soon_threadsafe(called.append, True)
    with monkeypatch.context() as patches:
        patches.setattr(type(reactor), "_run_calls", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run_until(reactor, lambda: called)
    assert select.select([number], [], [], PATIENCE)[0]
    run_until(reactor, lambda: called)

from __future__ import annotations

import select
import threading

import pytest

from serversocket.reactor import current_reactor

from ..behaviour.helpers import connect_to, connection, listening, on_posix, reset, run_until


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
    assert called or select.select([number], [], [], 10)[0]
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

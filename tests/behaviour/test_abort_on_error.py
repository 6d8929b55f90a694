"""`Socket.abort_on_error`: a listener that raises resets its connection."""

from __future__ import annotations

import errno

import pytest

from .helpers import connection, settle


def fail(_event=None):
    raise ValueError("the listener's")


def test_it_is_off_at_first(uncaught):
    with connection() as it:
        assert it.socket.abort_on_error is False
        assert it.socket.abortOnError is False
        it.socket.add_event_listener("socketData", fail)
        it.peer.sendall(b"x")
        it.until(lambda: uncaught)
        settle(it.reactor)
        assert it.socket.connected
        uncaught.clear()


@pytest.mark.parametrize("priority", [1, -1])
def test_a_listener_that_raises_resets_its_connection(uncaught, priority):
    with connection() as it:
        it.socket.abort_on_error = True
        it.socket.add_event_listener("socketData", fail, priority=priority)
        it.socket.write(b"never sent whole" * 1_000_000)
        it.peer.sendall(b"x")
        it.until_event("close")
        assert it.log.types[-2:] == ["ioError", "close"]
        assert it.log.of("ioError")[0].errno == errno.ECONNABORTED
        assert it.log.data == b"x"
        with pytest.raises(ConnectionResetError):
            while it.peer.recv(262144):
                pass
        assert [str(record.exc_info[1]) for record in uncaught] == ["the listener's"]
        uncaught.clear()


def test_only_its_own_listeners_count(uncaught):
    with connection() as it, connection() as other:
        it.socket.abort_on_error = True
        other.socket.add_event_listener("socketData", fail)
        other.peer.sendall(b"x")
        other.until(lambda: uncaught)
        settle(it.reactor)
        assert it.socket.connected
        assert other.socket.connected
        uncaught.clear()


@pytest.mark.parametrize("type", ["ioError", "close"])
def test_what_raises_at_the_end_changes_nothing(uncaught, type):
    with connection() as it:
        it.socket.abort_on_error = True
        it.socket.add_event_listener(type, fail, priority=1)
        it.socket.add_event_listener("socketData", fail)
        it.peer.sendall(b"x")
        it.until_event("close")
        settle(it.reactor)
        assert it.log.count("ioError") == it.log.count("close") == 1
        uncaught.clear()


def test_a_listener_that_closes_and_raises_has_closed(uncaught):
    def close_and_fail(event):
        event.target.close()
        fail()

    with connection() as it:
        it.socket.abort_on_error = True
        it.socket.add_event_listener("socketData", close_and_fail)
        it.socket.write(b"answer")
        it.peer.sendall(b"x")
        it.until(lambda: uncaught)
        settle(it.reactor)
        assert it.peer.recv(10) == b"answer"
        assert it.peer.recv(10) == b""
        assert it.log.types == ["socketData"]
        uncaught.clear()

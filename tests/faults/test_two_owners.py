"""Two owners of one number: after every way to end, strangers take the numbers at once, and none of them is closed."""

from __future__ import annotations

import gc
import os
import warnings

import pytest

from serversocket import Socket
from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import connection, listening, on_posix, open_descriptors, reset, run_until, settle, unused_port

pytestmark = on_posix


def close(it):
    it.socket.close()


def abort(it):
    it.socket.abort()


def close_with_output(it):
    it.socket.write(b"x" * 10_000_000)
    it.socket.close()
    it.peer.close()


def close_with_unread_input(it):
    it.socket.write(b"x")
    it.peer.sendall(b"never read")
    it.socket.close()
    it.peer.close()


def end_of_the_peer(it):
    it.peer.close()
    it.until_event("close")


def end_of_the_peer_with_output(it):
    it.socket.write(b"x" * 10_000_000)
    it.peer.close()
    it.until_event("close")


def reset_by_the_peer(it):
    reset(it.peer)
    it.until_event("close")


def too_much_output(it):
    it.socket.buffer_limit = 10
    with pytest.raises(OSError, match="#2002"):
        it.socket.write(b"x" * 11)
    it.until_event("close")


def connect_anew(it):
    with listening() as server:
        it.socket.connect("127.0.0.1", server.local_port)
        it.until(lambda: it.socket.connected)
        it.socket.abort()


def connect_that_is_refused(it):
    it.socket.connect("127.0.0.1", unused_port())
    it.until_event("ioError")


def connect_that_is_cancelled(it):
    with listening() as server:
        it.socket.connect("127.0.0.1", server.local_port)
        it.socket.close()


def close_in_a_listener(it):
    it.socket.add_event_listener("socketData", lambda event: event.target.close())
    it.peer.sendall(b"x")
    it.until(lambda: not it.socket.connected)


def closing_the_reactor(it):
    it.reactor.close()


ENDINGS = [
    close, abort, close_with_output, close_with_unread_input, end_of_the_peer, end_of_the_peer_with_output,
    reset_by_the_peer, too_much_output, connect_anew, connect_that_is_refused, connect_that_is_cancelled,
    close_in_a_listener, closing_the_reactor,
]  # fmt: skip


@pytest.mark.parametrize("end", ENDINGS)
def test_no_number_is_closed_twice(end):
    before = open_descriptors()
    with connection() as it:
        end(it)
        if not it.reactor.closed:
            settle(it.reactor)
        free = set(range(max(open_descriptors() | before) + 8)) - open_descriptors()
        strangers = [os.open(os.devnull, os.O_RDONLY) for _ in free]
        try:
            for again in ("close", "abort", "flush", "read"):
                try:
                    getattr(it.socket, again)()
                except (OSError, RuntimeError):
                    pass
                else:
                    assert again == "read"
            it.socket = None
            it.log.events.clear()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()
            current_reactor().poll(0)
            assert [os.readlink(f"/proc/self/fd/{number}") for number in strangers] == [os.devnull] * len(strangers)
        finally:
            for number in strangers:
                os.close(number)


def test_a_connect_that_times_out_closes_once():
    it = Socket()
    it.timeout = 250
    told = []
    it.add_event_listener("ioError", lambda event: told.append(event))
    # Nobody fetches from a full backlog: the connect waits.
    with listening(backlog=1) as server:
        waiting = [Socket("127.0.0.1", server.local_port) for _ in range(4)]
        it.connect("127.0.0.1", server.local_port)
        run_until(current_reactor(), lambda: told)
        strangers = [os.open(os.devnull, os.O_RDONLY) for _ in range(4)]
        current_reactor().poll(0)
        with pytest.raises(OSError, match="#2002"):
            it.close()
        for number in strangers:
            os.close(number)
        for other in waiting:
            with other:
                pass

"""What a program asks the system to tell of its data lands in the error queue; nobody reads it, and nothing spins."""

from __future__ import annotations

import socket

import pytest

from ..behaviour.helpers import connection, on_linux, pattern, receive_exactly, reset, settle

pytestmark = on_linux

SO_TIMESTAMPING = 37
TX_SOFTWARE, SOFTWARE = 1 << 1, 1 << 4


@pytest.fixture
def it():
    """A connection whose every send is answered with a timestamp."""
    with connection() as made:
        with socket.socket(fileno=made.socket.fileno()) as view:
            view.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, TX_SOFTWARE | SOFTWARE)
            view.detach()
        yield made


def test_timestamps_that_nobody_reads_do_not_make_it_spin(it):
    data = pattern(10_000)
    for number in range(10):
        it.socket.write(data[number * 1000 :][:1000])
        it.socket.flush()
    assert receive_exactly(it.reactor, it.peer, 10_000) == data
    settle(it.reactor)
    it.peer.sendall(b"still here")
    it.until(lambda: it.log.data == b"still here")
    assert it.log.types[-1] == "socketData"


def test_a_reset_is_still_heard(it):
    it.socket.write(b"something")
    it.socket.flush()
    settle(it.reactor)
    reset(it.peer)
    it.until_event("close")
    assert it.log.types[-2:] == ["ioError", "close"]

"""What a program asks the system to tell of its data lands in the error queue; nobody reads it, and nothing spins."""

from __future__ import annotations

import contextlib
import socket
import time

import pytest

from ..behaviour.helpers import (
    connection,
    half_open,
    on_linux,
    open_as_ever,
    pattern,
    paused,
    receive_exactly,
    reset,
    settle,
)

pytestmark = on_linux

SO_TIMESTAMPING = 37
TX_SOFTWARE, SOFTWARE = 1 << 1, 1 << 4


@contextlib.contextmanager
def stamped(**options):
    """A connection whose every send is answered with a timestamp."""
    with connection(**options) as made:
        with socket.socket(fileno=made.socket.fileno()) as view:
            view.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, TX_SOFTWARE | SOFTWARE)
            view.detach()
        yield made


@pytest.fixture
def it():
    with stamped() as made:
        yield made


def closed(it):
    it.socket.close()


@pytest.mark.parametrize("state", [open_as_ever, paused, half_open, closed])
@pytest.mark.parametrize("size", [10_000, 8_000_000], ids=["sent", "blocked"])
def test_nothing_spins_in_any_state(state, size):
    """What the system has taken is sent as the peer fetches it, and stamped then; the rest waits for more room."""
    with stamped(receive_buffer=4096) as it:
        it.socket.write(pattern(size))
        it.socket.flush()
        state(it)
        settle(it.reactor)
        it.peer.setblocking(False)
        for _ in range(10):
            with contextlib.suppress(BlockingIOError):
                it.peer.recv(2_000)
            time.sleep(0.01)
        settle(it.reactor)
        reset(it.peer)
        settle(it.reactor)


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

"""A finalizer or a signal's handler writes to a connection while its output is being sent: nothing is lost or ended."""

from __future__ import annotations

import gc
import signal

import pytest

from ..behaviour.helpers import connection, on_posix, receive_exactly

PIECE = 5000  # bytes: large enough not to be joined to others
LATE = 10  # bytes of what the handler writes
FINISHED = b"\xff" * PIECE


class Writer:
    """Writes when the garbage collector finds it, and leaves another one to be found, so many times."""

    def __init__(self, socket, times):
        self.socket = socket
        self.times = times
        self.itself = self

    def __del__(self):
        if self.times:
            self.socket.write(FINISHED)
            Writer(self.socket, self.times - 1)


def numbered(count, size=PIECE):
    return [bytes([number % 251]) * size for number in range(count)]


@pytest.mark.parametrize("pieces", [1, 2, 70])
@pytest.mark.parametrize("size", [3, PIECE])
def test_a_finalizer_that_writes(pieces, size):
    times, rounds = 30, 20
    with connection() as it:
        thresholds = gc.get_threshold()
        try:
            for _ in range(rounds):
                for piece in numbered(pieces, size):
                    it.socket.write(piece)
                Writer(it.socket, times)
                gc.set_threshold(1, 1, 1)  # any new object may have one found
                it.socket.flush()
                gc.set_threshold(*thresholds)
        finally:
            gc.set_threshold(*thresholds)
        while gc.collect():
            pass
        expected = b"".join(numbered(pieces, size)) * rounds
        received = receive_exactly(it.reactor, it.peer, len(expected) + rounds * times * PIECE)
        assert received.count(b"\xff") // PIECE == rounds * times
        assert received.replace(b"\xff", b"") == expected
        assert it.socket.connected


@on_posix
def test_a_signals_handler_that_writes():
    with connection() as it:
        late = 0

        def handle(number, frame):
            nonlocal late
            late += 1
            it.socket.write(b"<%08d>" % late)

        written = 0
        before = signal.signal(signal.SIGALRM, handle)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        try:
            while late < 50 and it.socket.bytes_pending < 10_000_000:
                written += it.socket.write(b"x" * PIECE) + it.socket.write(b"y" * PIECE)
                it.socket.flush()
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        received = receive_exactly(it.reactor, it.peer, written + late * LATE)
        assert received.count(b"x") == received.count(b"y") == written // 2
        assert received.count(b"<") == late

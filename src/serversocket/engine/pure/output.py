"""The queue of a connection's pending output, and how it is sent."""

from __future__ import annotations

import errno
import socket
import sys
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

from .events import OUTPUT_PROGRESS
from .poller import Slot
from .source import ENDED, ENDING, MSG_NOSIGNAL, OPEN, Source, set_linger

if sys.platform == "linux":
    import fcntl
    import termios

if TYPE_CHECKING:
    from .filter import Wire

CHUNKS_PER_SEND = 64  # pieces of output in one call of sendmsg
MESSAGES_PER_TURN = 1024  # of the system's error queue

Queue = deque[bytes | bytearray | memoryview]


class Output(Source):
    """The pending output of a connection.

    It is a queue of `bytes` as the program gave them, bytearrays in which small writes are joined, and in front
    perhaps the memoryview of a piece that is partly sent.
    """

    _output_: Queue | None = None
    _pending_ = 0
    _dirty_ = False  # in the reactor's queue of streams to be sent
    _blocked_ = False  # the system takes no more now: wait until it does
    _guarded_ = False  # some output is unsent: closing the descriptor, even by a kill, resets the connection
    _progressed_ = False  # an outputProgress event is due
    _outgoing_ = OPEN  # what the program writes
    _failure_ = 0  # an errno: the connection is broken for it in the last step of the turn
    _attending_ = False  # in the reactor's queue of postponed calls
    _wire_: Wire | None = None  # the state of its filter; None without one

    if TYPE_CHECKING:

        def _attend_(self) -> None: ...
        def _settle_(self) -> None: ...
        def _hold_(self, slot: Slot) -> None: ...

    @property
    def bytes_pending(self) -> int:
        """How many bytes were written but not sent yet (AIR: ``bytesPending``)."""
        return self._pending_

    @property
    def _bytes_kept(self) -> int:
        """Returns how many bytes it keeps for the program, as the reactor has counted them."""
        return self._counted_

    def _unsent_(self) -> bool:
        """Returns True if the system has not taken all output."""
        return bool(self._pending_ or (self._wire_ is not None and self._wire_.left()))

    def _reset_(self) -> None:
        """Makes the close that follows a reset; where a filter has said its last, it stays an end."""
        if self._socket_ is not None and not (self._wire_ is not None and self._wire_.said):
            reset(self._socket_)

    def _end_output_(self) -> None:
        """Tells the peer that nothing more comes."""
        self._outgoing_ = ENDED
        try:
            if self._socket_ is not None:
                self._socket_.shutdown(socket.SHUT_WR)
        except OSError as error:
            # It was connected, so the peer has reset it.
            self._fail_(errno.ECONNRESET if error.errno == errno.ENOTCONN else error.errno or errno.EIO)
            return

    def _send_written_(self) -> None:
        self._dirty_ = False
        self._send_output_()

    def _send_output_(self) -> None:
        """Sends what the system takes now; the consequences follow in the last step of the turn."""
        if self._blocked_ or not (self._pending_ or self._wire_ is not None):
            return
        if self._transmit_():
            self._settle_()
        elif not self._listeners_ and self._slot_ is not None:
            self._hold_(self._slot_)
        if self._progressed_:
            self._attend_later_()

    def _transmit_(self) -> bool:
        """Sends what the system takes; returns True if it takes no more now."""
        if self._failure_:
            if not self._progressed_:  # first, a listener hears how much was pending
                self._drop_output_()  # a broken connection sends nothing more: output before this may be missing
            return False
        if self._wire_ is not None:
            return self._wire_.transmit(self)  # type: ignore[arg-type]
        sock, output = self._socket_, self._output_
        if sock is None or output is None:
            return False
        any_sent = False
        try:
            while output:
                if len(output) == 1:
                    piece = output[0]
                    offered = len(piece)
                    sent = sock.send(piece, MSG_NOSIGNAL)
                else:
                    sent, offered = send_several(sock, output)
                any_sent = True
                self._pending_ -= sent
                if sent == len(output[0]):
                    output.popleft()  # as take_off does it, without a call
                else:
                    take_off(output, sent)
                if sent < offered:  # the system would refuse more
                    self._block_()
                    break
        except (BlockingIOError, InterruptedError):
            self._block_()
        except OSError as error:
            self._progressed_ = self._progressed_ or (any_sent and OUTPUT_PROGRESS in self._listeners_)
            self._fail_(error.errno or errno.EIO)
            return self._blocked_
        if self._guarded_ and not self._pending_:
            self._guard_(False)
        if any_sent:
            self._count_()
            if OUTPUT_PROGRESS in self._listeners_:
                self._progressed_ = True
            if self._outgoing_ == ENDING and not self._pending_:
                self._end_output_()
        return self._blocked_

    def _block_(self) -> None:
        self._blocked_ = True
        if not self._guarded_:
            self._guard_(True)

    def _guard_(self, on: bool) -> None:
        """Has the system reset the connection if the descriptor is closed in any way before all output is sent.

        So the peer never takes a truncated stream for a complete one, even if this process is killed.
        """
        self._guarded_ = on
        if self._socket_ is not None:
            set_linger(self._socket_, on)

    def _next_piece_(self, most: int) -> bytes:
        """Takes the first bytes off the queue, for a filter; they are pending until they are sent."""
        assert self._output_ is not None
        head = self._output_[0]
        if len(head) <= most:
            self._output_.popleft()
            return bytes(head)
        self._output_[0] = memoryview(head)[most:]
        return bytes(memoryview(head)[:most])

    def _drop_output_(self) -> None:
        if self._wire_ is not None:
            self._wire_.drop()
        self._output_ = None
        self._pending_ = 0
        if self._counted_:
            self._count_()
        self._blocked_ = self._progressed_ = False

    def _fail_(self, failure: int) -> None:
        """Breaks the connection in the last step of the turn: no listener runs inside the program's own call."""
        self._failure_ = failure
        if not self._progressed_ or failure == errno.ENOBUFS:
            self._drop_output_()  # else when the program was told how much was pending
        self._attend_later_()

    def _attend_later_(self) -> None:
        if not self._attending_ and self._reactor_ is not None:
            self._reactor_._postpone_(self._attend_)
            self._attending_ = True

    def _queued_(self) -> int:
        """Returns how many bytes the queue keeps. A partly sent piece is kept whole."""
        kept = self._pending_ + sent_of(self._output_[0]) if self._pending_ and self._output_ else 0
        if self._wire_ is not None:
            kept += self._wire_.left() - self._wire_.taken
            if not self._output_:
                kept += self._pending_  # all of it is with the filter
        return kept

    def _count_(self) -> None:
        """Tells the reactor how much this connection keeps."""
        change = self._queued_() - self._counted_
        if change and self._reactor_ is not None:
            self._counted_ += change
            self._reactor_._kept_ += change

    def _shed(self) -> None:
        """Breaks this connection, which keeps more than all others, as there is no room for more."""
        self._check_()
        self._fail_(errno.ENOBUFS)

    def _unfetched_(self) -> int:
        """Returns how much the system has taken and the peer has not acknowledged; 0 where the system does not tell."""
        if sys.platform == "linux" and self._socket_ is not None:
            with suppress(OSError):
                return int.from_bytes(fcntl.ioctl(self._socket_, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        return 0


def empty_error_queue(sock: socket.socket) -> None:
    """Drops the system's messages about sent data, which the program has asked for: until read, they are an error.

    They are timestamps, or the end of a transfer without a copy. No event of this library has a place for them.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            for _ in range(MESSAGES_PER_TURN):
                sock.recvmsg(0, 0, socket.MSG_ERRQUEUE)


def reset(sock: socket.socket) -> None:
    """Makes the close that follows reset the connection."""
    set_linger(sock, True)


def send_several(sock: socket.socket, output: Queue) -> tuple[int, int]:
    # By index: a finalizer or a signal handler may append meanwhile. No comprehension: see `Attempt._wait_for`.
    pieces = []
    for index in range(min(len(output), CHUNKS_PER_SEND)):
        pieces.append(output[index])  # noqa: PERF401
    offered = sum(map(len, pieces))
    if sys.platform == "win32":
        return sock.send(b"".join(pieces)), offered
    return sock.sendmsg(tuple(pieces), (), MSG_NOSIGNAL), offered


def take_off(output: Queue, sent: int) -> None:
    while output and sent >= len(output[0]):
        sent -= len(output.popleft())
    if sent:
        output[0] = memoryview(output[0])[sent:]


def sent_of(piece: bytes | bytearray | memoryview) -> int:
    """Returns how much of a piece is sent already."""
    return len(memoryview(piece.obj)) - len(piece) if isinstance(piece, memoryview) else 0

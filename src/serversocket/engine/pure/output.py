"""What the program has written to a connection and is not sent yet, and how it is sent."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, SupportsBytes, SupportsIndex

from ... import errors
from ...checks import as_limit
from ...defaults import CONNECTION_LIMIT
from ..unpatched import get_ident
from .events import OUTPUT_PROGRESS, OutputProgressEvent
from .input import CONNECTED, ENDED, ENDING, FINISHED, OPEN, Input
from .reactor import Reactor, Slot

if sys.platform == "linux":
    import fcntl
    import termios

if TYPE_CHECKING:
    from typing_extensions import Buffer

CHUNKS_PER_SEND = 64  # pieces of output in one sendmsg
COPY_BELOW = 4096  # smaller writes behind another are joined, larger ones queued as they are
TAIL_LIMIT = 65536  # how far joined writes may grow
MESSAGES_PER_TURN = 1024  # of the system, about what was sent

MSG_NOSIGNAL: int = getattr(socket, "MSG_NOSIGNAL", 0)
_LINGER = "HH" if sys.platform == "win32" else "ii"  # on, and for how many seconds

Queue = deque[bytes | bytearray | memoryview]


class Output(Input):
    """The writing half of a connection.

    Output is a queue of `bytes` as the program gave them, bytearrays in which small writes are joined, and in front
    perhaps the memoryview of a piece that is partly sent.
    """

    _output_: Queue | None = None
    _pending_ = 0
    _written_ = 0
    _limit_ = CONNECTION_LIMIT  # of unread input and unsent output together
    _moment_ = 0.0  # when something was last received or fetched
    _longest_ = 0.0  # seconds that it may be idle; 0: for ever
    _fetched_ = 0  # how much of `_written_` the peer had got when that was last looked at
    _serving_ = False  # its own listeners run: what they write is sent when they are done
    _dirty_ = False  # in the reactor's queue of streams to be sent
    _blocked_ = False  # the system takes no more: wait until it does
    _paused_ = False  # the program wants no input for now
    _guarded_ = False  # some output is unsent: whatever closes the descriptor, a kill included, resets
    _progressed_ = False  # an outputProgress event is due
    _outgoing_ = OPEN  # what the program writes
    _failure_ = 0  # why it is to be broken in the last step of the turn: an errno
    _attending_ = False  # in the reactor's queue of what is postponed

    if TYPE_CHECKING:

        def _coerce(self, data: object) -> bytes: ...
        def _attend_(self) -> None: ...
        def _settle_(self) -> None: ...
        def _hold_(self, slot: Slot) -> None: ...

    @property
    def bytes_pending(self) -> int:
        """How many bytes were written and are not sent yet (AIR: ``bytesPending``)."""
        return self._pending_

    @property
    def buffer_limit(self) -> int:
        """The most bytes of unread input and unsent output that the socket may keep; 256 MiB at first.

        A `write` that would pass it raises, and the connection is broken: the peer must not get a stream with a hole
        in it. Input that the program leaves unread breaks the connection in the same way; what was kept can still be
        read. Its ``ioError`` has ``errno.ENOBUFS``. `congested` and `pause` are for never coming so far: no read
        brings more than there is room for, so a program that pauses when so much is there is in time.

        Raises:
            TypeError: The value is not an integer.
            RangeError: It is not positive (#2006).

        Example:
            >>> import serversocket
            >>> socket = serversocket.Socket()
            >>> socket.buffer_limit = 1024 * 1024
        """
        return self._limit_

    @buffer_limit.setter
    def buffer_limit(self, value: SupportsIndex) -> None:
        self._check_()
        self._limit_ = as_limit("buffer_limit", value)

    def write(self, data: Buffer | SupportsBytes) -> int:
        """Queues bytes to be sent. They go out with `flush` or at the end of the reactor's turn.

        Args:
            data: Any bytes-like object. ``bytes`` are kept by reference, anything mutable is copied.

        Returns:
            How many bytes were queued: all of them. Whether that is more than the peer fetches, `congested` tells then.

        Raises:
            IOError: The socket is not connected, or `buffer_limit` would be passed (#2002, the latter with ENOBUFS).
            TypeError: `data` is not bytes-like.
        """
        reactor = self._reactor_
        if reactor is None or get_ident() != reactor._thread_ or self._state_ != CONNECTED or self._outgoing_:
            reactor = self._require_output_("write")
        if data.__class__ is not bytes:
            data = self._as_bytes_(data)
        count = len(data)
        if not count:
            return 0
        kept = self._pending_ + len(self._input_) - self._start_
        if kept + count > self._limit_ or reactor._kept_ + count > reactor._limit_:
            self._make_room_(reactor, count, kept)
        output = self._output_
        if output is None:
            output = self._output_ = deque()
        if not output or count >= COPY_BELOW:
            output.append(data)
        elif not _joined(output[-1], data, count):
            output.append(bytearray(data))
        self._pending_ += count
        self._written_ += count
        self._counted_ += count
        reactor._kept_ += count
        if not (self._serving_ or self._dirty_ or self._blocked_):
            self._dirty_ = True
            reactor._dirty_.append(self)
            if reactor._alarm_ is not None:
                reactor._show_work_()
        return count

    def _as_bytes_(self, data: Buffer | SupportsBytes) -> bytes:
        try:
            view = memoryview(data)  # type: ignore[arg-type]
        except TypeError:
            copied = self._coerce(data)
        else:
            with view:
                copied = view.tobytes()
        self._require_output_("write")  # Python code may have run meanwhile
        return copied

    def _require_writable(self, call: str) -> None:
        self._require_output_(call)

    def _require_output_(self, call: str) -> Reactor:
        reactor = self._require_(call)
        if self._outgoing_ != OPEN:
            raise errors.invalid_socket(call, "write_eof was called")
        return reactor

    def _write_through(self, data: Buffer | SupportsBytes) -> int:
        """As `write`, for who is no listener of this stream: it is sent at once. Returns how much is pending then."""
        serving, self._serving_ = self._serving_, True
        try:
            self.write(data)
        finally:
            self._serving_ = serving
        if not serving:
            self._served_()
        return self._pending_

    def flush(self) -> None:
        """Hands queued output to the system at once, as much as it takes (AIR: ``flush``).

        Raises:
            IOError: The socket is not connected (#2002).
        """
        self._require_("flush")
        self._send_()

    def write_eof(self) -> None:
        """Ends the output: the peer gets what is pending, and then its end of the stream. Input goes on.

        The connection is over when the peer ends its output too. Called again, it does nothing.

        Raises:
            IOError: The socket is not connected (#2002).

        Example:
            >>> import serversocket
            >>> def ask(event):
            ...     event.target.write(b"all that I have to say")
            ...     event.target.write_eof()
            >>> socket = serversocket.Socket()
            >>> socket.add_event_listener("connect", ask)
        """
        self._require_("write_eof")
        if self._outgoing_ == OPEN:
            self._outgoing_ = ENDING
            self._send_()
            if not self._pending_ and self._outgoing_ == ENDING and not self._failure_:
                self._end_output_()  # there was nothing to send

    @property
    def output_ended(self) -> bool:
        """Whether `write_eof` was called on this connection."""
        return self._outgoing_ != OPEN

    def _end_output_(self) -> None:
        """Tells the peer that nothing more comes."""
        self._outgoing_ = ENDED
        try:
            if self._socket_ is not None:
                self._socket_.shutdown(socket.SHUT_WR)
        except OSError as error:
            # It was connected, so it is the peer that has reset it.
            self._fail_(errno.ECONNRESET if error.errno == errno.ENOTCONN else error.errno or errno.EIO)
            return
        if self._incoming_ == ENDED:
            self._attend_later_()  # the connection is over, which nobody hears of inside his own call

    def _send_written_(self) -> None:
        self._dirty_ = False
        self._send_()

    def _send_(self) -> None:
        """Sends what the system takes now; what follows from it comes in the last step of the turn."""
        if self._blocked_ or not self._pending_:
            return
        if self._transmit_():
            self._settle_()
        elif not self._listeners_ and self._slot_ is not None:
            self._hold_(self._slot_)
        if self._progressed_:
            self._attend_later_()

    def _transmit_(self) -> bool:
        """Sends what the system takes; whether it is full now."""
        if self._failure_:
            if not self._progressed_:  # first, the program is told how much was pending
                self._drop_output_()  # what is broken says no more: something may be missing before this
            return False
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
                if sent < offered:  # more would only be refused
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
        """Has the system reset the connection if the descriptor is closed, by whatever, before all output is sent.

        So the peer never takes a part for the whole, even if this process is killed.
        """
        self._guarded_ = on
        if self._socket_ is not None:
            set_linger(self._socket_, on)

    def _drop_output_(self) -> None:
        self._output_ = None
        self._pending_ = 0
        if self._counted_:
            self._count_()
        self._blocked_ = self._progressed_ = False

    def _fail_(self, failure: int) -> None:
        """Breaks the connection in the last step of the turn: nobody hears of it from inside his own call."""
        self._failure_ = failure
        self._paused_ = False
        if not self._progressed_ or failure == errno.ENOBUFS:
            self._drop_output_()  # else when the program was told how much was pending
        self._attend_later_()

    def _attend_later_(self) -> None:
        if not self._attending_ and self._reactor_ is not None:
            self._reactor_._postpone_(self._attend_)
            self._attending_ = True

    def _tell_progress_(self) -> None:
        self._progressed_ = False
        entries = self._listeners_.get(OUTPUT_PROGRESS)
        if entries and self._state_ == CONNECTED:
            event = OutputProgressEvent(OUTPUT_PROGRESS, False, False, self._pending_, self._written_)
            self._serving_ = True
            try:
                self._deliver_(event, entries)
            finally:
                self._served_()

    def _served_(self) -> None:
        """Sends what its own listeners wrote, while it is still in the processor's cache."""
        self._serving_ = False
        if self._pending_ and not self._dirty_:
            self._send_()

    # ---- what is kept for the program

    def _count_(self) -> None:
        """Tells the reactor how much is kept. A piece of output of which some is left is kept whole."""
        change = len(self._input_) - self._start_ - self._counted_
        if self._pending_ and self._output_:
            change += self._pending_ + sent_of(self._output_[0])
        if change and self._reactor_ is not None:
            self._counted_ += change
            self._reactor_._kept_ += change

    def _make_room_(self, reactor: Reactor, count: int, kept: int) -> None:
        """Refuses output that is over a limit unless others can make room. The stream would have a hole, so it ends."""
        if kept + count > self._limit_:
            self._fail_(errno.ENOBUFS)
            raise errors.over_limit("write", count, kept, "buffer_limit", self._limit_)
        if not reactor._relieve_(self, count):
            kept = reactor._kept_
            self._overrun_()
            raise errors.over_limit("write", count, kept, "reactor.buffer_limit", reactor._limit_)

    def _room_(self, size: int) -> int:
        """How much of so much to receive: no more than may be kept, so that a program which pauses then is in time."""
        left = self._limit_ - self._pending_ - len(self._input_) + self._start_
        return size if size <= left else max(left, 1)

    def _crowded_(self) -> bool:
        """Whether unread input is over a limit: then the connection has to end."""
        reactor = self._owner_()
        return self._pending_ + len(self._input_) - self._start_ > self._limit_ or (
            reactor._kept_ > reactor._limit_ and not reactor._relieve_(self, 0)
        )

    def _overrun_(self) -> None:
        """It keeps more than all others, and there is no room for more."""
        if self._state_ == FINISHED:
            self._discard_()
            return
        self._torn_ = self._torn_ or len(self._input_) > self._start_
        self._input_, self._start_ = b"", 0
        self._fail_(errno.ENOBUFS)

    def _idle_too_long_(self, now: float) -> bool:
        """Breaks the connection if it was idle for too long; whether it has a limit and is still open."""
        if not self._longest_ or self._socket_ is None:
            return False
        if self._written_ - self._pending_ != self._fetched_:
            fetched = self._got_()
            if fetched != self._fetched_:
                self._fetched_ = fetched
                self._moment_ = now
        if not self._failure_ and now - self._moment_ >= self._longest_:
            if failure := self._why_idle_(self._socket_):
                self._fail_(failure)
            else:
                self._moment_ = now
        return True

    def _why_idle_(self, sock: socket.socket) -> int:
        """An errno; 0 if something has come that there was no time to read, for the program was busy with others."""
        if self._paused_ or self._incoming_ != OPEN:
            return errno.ETIMEDOUT
        try:
            sock.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return errno.ETIMEDOUT
        except InterruptedError:
            return 0
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def _got_(self) -> int:
        """How much the peer has got of what was written."""
        return self._written_ - self._pending_ - self._unfetched_()

    def _unfetched_(self) -> int:
        """How much the system has taken that is still on its way to the peer; 0 where it does not tell."""
        if sys.platform == "linux" and self._socket_ is not None:
            with suppress(OSError):
                return int.from_bytes(fcntl.ioctl(self._socket_, termios.TIOCOUTQ, bytes(4)), sys.byteorder)
        return 0


def empty_error_queue(sock: socket.socket) -> None:
    """Drops what the system tells of sent data where the program has asked it to: an error until it is read.

    That is timestamps, or the end of a transfer without a copy. No event of this library has a place for them.
    """
    if sys.platform == "linux":
        with suppress(OSError):
            for _ in range(MESSAGES_PER_TURN):
                sock.recvmsg(0, 0, socket.MSG_ERRQUEUE)


def _joined(last: bytes | bytearray | memoryview, data: bytes, count: int) -> bool:
    """Appends a small write to the piece before it, if that takes it; returns True if so."""
    if not isinstance(last, bytearray) or len(last) + count > TAIL_LIMIT:
        return False
    try:
        last += data
    except BufferError:  # it is being sent: this is written by a finalizer or a signal's handler
        return False
    return True


def reset(sock: socket.socket) -> None:
    """Makes the close that follows a reset."""
    set_linger(sock, True)


def set_linger(sock: socket.socket, on: bool) -> None:
    with suppress(OSError):  # it is reset already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER, on, 0))


def send_several(sock: socket.socket, output: Queue) -> tuple[int, int]:
    # By index: a finalizer or a signal's handler may append meanwhile. No comprehension: see `Attempt._wait_for`.
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
    """How much of it is sent already."""
    return len(memoryview(piece.obj)) - len(piece) if isinstance(piece, memoryview) else 0

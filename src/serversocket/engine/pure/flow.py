"""Both directions of a connection together: writing, the limit of unread and unsent data, and the idle timeout."""

from __future__ import annotations

import errno
import socket
from collections import deque
from typing import TYPE_CHECKING, SupportsBytes

from ... import errors
from ...defaults import CONNECTION_LIMIT
from ..shedding import shed
from ..unpatched import get_ident
from .events import OUTPUT_PROGRESS, OutputProgressEvent
from .input import CONNECTED, FINISHED, Input
from .reactor import Reactor
from .source import ENDED, ENDING, OPEN

if TYPE_CHECKING:
    from typing_extensions import Buffer

COPY_BELOW = 4096  # smaller writes are joined with the one before, larger ones are queued as they are
TAIL_LIMIT = 65536  # how far joined writes may grow

# What happened while there was no listener for it.
OWED_INPUT, OWED_END, OWED_ERROR, OWED_CLOSE = 1, 2, 4, 8


class Flow(Input):
    """Writing within the limit of unread and unsent data, and the idle timeout."""

    _written_ = 0
    _limit_ = CONNECTION_LIMIT  # of unread input and unsent output together
    _moment_ = 0.0  # when something was last received or acknowledged
    _longest_ = 0.0  # seconds that it may be idle; 0: for ever
    _fetched_ = 0  # how much of `_written_` was acknowledged when last checked
    _serving_ = False  # its own listeners are running: what they write is sent when they have returned
    _paused_ = False  # the program wants no input for now
    _owed_ = 0  # OWED_…: events that the first listener has still to get

    if TYPE_CHECKING:

        def _coerce(self, data: object) -> bytes: ...

    @property
    def _buffer_limit(self) -> int:
        """The most bytes of unread input and unsent output together."""
        return self._limit_

    @_buffer_limit.setter
    def _buffer_limit(self, value: int) -> None:
        self._limit_ = value

    def write(self, data: Buffer | SupportsBytes) -> int:
        """Queues bytes to be sent. They go out with `flush` or at the end of the reactor's turn.

        Args:
            data: Any bytes-like object. ``bytes`` are kept by reference, a mutable object is copied.

        Returns:
            How many bytes were queued: all of them. Check `congested` afterwards to see whether the peer keeps up.

        Raises:
            IOError: The socket is not connected, `write_eof` was called, or `buffer_limit` would be exceeded (#2002;
                with ENOBUFS for the last reason).
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
            if reactor._poller_.alarm is not None:
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
        """Writes and sends at once, for callers outside this stream's listeners; returns how much is pending then."""
        serving, self._serving_ = self._serving_, True
        try:
            self.write(data)
        finally:
            self._serving_ = serving
        if not serving:
            self._served_()
        return self._pending_

    def flush(self) -> None:
        """Hands as much queued output to the system as it takes, at once (AIR: ``flush``).

        Raises:
            IOError: The socket is not connected (#2002).
        """
        self._require_("flush")
        self._send_output_()

    def write_eof(self) -> None:
        """Ends the output (half-close): the peer gets what is pending, then the end of the stream. Input continues.

        The connection ends when the peer ends its output too. A second call does nothing.

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
            self._send_output_()
            if not self._pending_ and self._outgoing_ == ENDING and not self._failure_ and self._wire_ is None:
                self._end_output_()  # there was nothing to send

    @property
    def output_ended(self) -> bool:
        """True if `write_eof` was called on this connection."""
        return self._outgoing_ != OPEN

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
        """Sends what its own listeners have written, while that is still in the processor's cache."""
        self._serving_ = False
        if (self._pending_ or self._wire_ is not None) and not self._dirty_:
            self._send_output_()

    def _make_room_(self, reactor: Reactor, count: int, kept: int) -> None:
        """Refuses output over a limit unless shedding makes room. A stream with a gap is of no use, so it ends."""
        if kept + count > self._limit_:
            self._fail_(errno.ENOBUFS)
            raise errors.over_limit("write", count, kept, "buffer_limit", self._limit_)
        if not shed(reactor, self, count):
            kept = reactor._kept_
            self._shed()
            raise errors.over_limit("write", count, kept, "reactor.buffer_limit", reactor._limit_)

    def _room_(self, size: int) -> int:
        """Returns how much of `size` to receive: no more than may be kept, so that a program can still pause then."""
        left = self._limit_ - self._pending_ - len(self._input_) + self._start_
        return size if size <= left else max(left, 1)

    def _crowded_(self) -> bool:
        """Returns True if unread input is over a limit: then the connection has to end."""
        reactor = self._owner_()
        return self._pending_ + len(self._input_) - self._start_ > self._limit_ or (
            reactor._kept_ > reactor._limit_ and not shed(reactor, self, 0)
        )

    def _shed(self) -> None:
        """Breaks this connection, which keeps more than all others, as there is no room for more."""
        self._check_()
        if self._state_ == FINISHED:
            self._discard_()
            return
        self._torn_ = self._torn_ or len(self._input_) > self._start_
        self._input_, self._start_ = b"", 0
        self._fail_(errno.ENOBUFS)

    def _idle_too_long_(self, now: float) -> bool:
        """Breaks the connection if it was idle for too long; returns True if it has a limit and is still open."""
        if not self._longest_ or self._socket_ is None:
            return False
        if self._sent_() != self._fetched_:
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
        """Returns an errno; 0 if input is waiting that was not read yet, because the program was busy with others."""
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

    def _sent_(self) -> int:
        """Returns how many bytes of this connection the system has taken."""
        return self._written_ - self._pending_ if self._wire_ is None else self._wire_.sent

    def _got_(self) -> int:
        """Returns how many bytes the peer has acknowledged."""
        return self._sent_() - self._unfetched_()

    def _count_(self) -> None:
        """Tells the reactor how much this connection keeps."""
        change = len(self._input_) - self._start_ - self._counted_
        if self._pending_ or self._wire_ is not None:
            change += self._queued_()
        if change and self._reactor_ is not None:
            self._counted_ += change
            self._reactor_._kept_ += change

    def _end_output_(self) -> None:
        """Tells the peer that nothing more comes."""
        super()._end_output_()
        if not self._failure_ and self._incoming_ == ENDED:
            self._attend_later_()  # the connection is over; no listener runs inside the program's own call

    def _fail_(self, failure: int) -> None:
        """Breaks the connection in the last step of the turn: no listener runs inside the program's own call."""
        self._paused_ = False
        super()._fail_(failure)


def _joined(last: bytes | bytearray | memoryview, data: bytes, count: int) -> bool:
    """Appends a small write to the piece before it, if that takes it; returns True if so."""
    if not isinstance(last, bytearray) or len(last) + count > TAIL_LIMIT:
        return False
    try:
        last += data
    except BufferError:  # it is being sent: a finalizer or a signal handler is writing
        return False
    return True

"""The filter between a connection's descriptor and its program, and the state that such a connection needs."""

from __future__ import annotations

import errno
import os
import socket
from contextlib import suppress
from typing import Any, Protocol

from ... import errors
from ..uncaught import leaves
from .dispatcher import report_error
from .events import OUTPUT_PROGRESS
from .source import ENDING, MSG_NOSIGNAL, OPEN, set_linger

PIECE = 65536  # bytes of output that a filter is given at once
LAST_READS = 16  # of what comes behind the error, before the connection is closed
WIRE_LIMIT = 262144  # bytes: while so many wait for the system, no more output is filtered


class Filtered(Protocol):
    """What a filter's `Wire` needs of the connection."""

    _socket_: Any
    _listeners_: Any
    _wire_: Any
    _pending_: int
    _outgoing_: int
    _incoming_: int
    _failure_: int
    _blocked_: bool
    _guarded_: bool
    _progressed_: bool
    _torn_: bool
    _paused_: bool

    def _next_piece_(self, most: int) -> bytes: ...
    def _count_(self) -> None: ...
    def _block_(self) -> None: ...
    def _guard_(self, on: bool) -> None: ...
    def _end_output_(self) -> None: ...
    def _fail_(self, failure: int) -> None: ...
    def _reset_(self) -> None: ...
    def _discard_(self) -> None: ...
    def _close_here_(self) -> None: ...
    def _attend_later_(self) -> None: ...
    def _arrived_filtered_(self, data: bytes) -> None: ...
    def _input_ends_(self, sock: Any) -> None: ...
    def _remove_filter_(self) -> None: ...
    def _refused(self, cause: OSError) -> None: ...


class Holder(Protocol):
    """What a filter's `Wire` needs of a server whose `connect` waits for the filter."""

    _refused_: int

    def _let_in_(self, stream: Any) -> None: ...
    def _forget_held_(self, stream: Any, wire: Any) -> None: ...


class Filter:
    """A layer between the descriptor of a connection and its program: TLS, a compression, a header in front.

    The connection calls its methods, from its reactor, and uses the bytes that they return; a filter does no I/O of its
    own. This class passes all bytes unchanged: a subclass overrides what it needs. An exception of one of its methods
    breaks the connection: ``ioError`` reports an `OSError`; any other exception becomes an ``uncaughtError``, too.

    `last_words` are sent then, if the system takes them at once: the connection ends behind them instead of being
    reset. A connection that ends before `connect` counts in `turned_away`, unless the filter is `uncounted`.

    Example:
        >>> class Rot13(Filter):
        ...     def received(self, data):
        ...         return data.translate(TABLE)
        ...
        ...     def written(self, data):
        ...         return data.translate(TABLE)
    """

    holding = False
    over = False
    input_ended = False
    successor: Filter | None = None
    last_words = b""
    uncounted = False
    _outbox_: list[bytes] | None = None

    def send(self, data: bytes) -> None:
        """Sends bytes of the filter's own, from inside one of its methods, ahead of the bytes that this returns."""
        if self._outbox_ is None:
            self._outbox_ = []
        self._outbox_.append(data)

    def started(self) -> bytes:
        """Called when the connection is made.

        Returns:
            Bytes to send before any output.
        """
        return b""

    def received(self, data: bytes) -> bytes:
        """Called when bytes have arrived.

        Args:
            data: The bytes that the peer has sent; empty if `Stream._ask_filter` was called.

        Returns:
            The program's input that they make.
        """
        return data

    def written(self, data: bytes) -> bytes:
        """Called for output once the system has room for it.

        Args:
            data: Bytes that the program has written.

        Returns:
            The bytes to send for them.
        """
        return data

    def ended(self) -> bytes:
        """Called when the peer has ended its output. Raises an error if that is too early.

        Returns:
            The last of the input.
        """
        return b""

    def closing(self) -> bytes:
        """Called when the program has ended its output, and `written` has got all of it.

        Returns:
            Bytes to send after it.
        """
        return b""

    def dropped(self, error: OSError | None) -> None:
        """The connection has ended, and `connect` will not follow.

        Args:
            error: Why; None where its server was closed.
        """


class Wire:
    """The state that only connections with a filter need: the filter, and the bytes that it has made of output.

    Output stays as the program wrote it until the system has room. It is pending until the last byte that the filter
    has made of it is with the system.
    """

    def __init__(self, filter: Filter) -> None:
        self.filter = filter
        self.server: Holder | None = None  # its `connect` waits for the filter; None for a client, and afterwards
        self.made = bytearray()  # what the filter has made of output
        self.taken = 0  # how much of the output that is pending the filter has got
        self.records: list[tuple[int, int]] = []  # of that: how much, and where in `queued` it ends
        self.queued = self.sent = self.received = 0  # bytes of the wire, of this connection
        self.error: OSError | None = None  # that the filter has raised
        self.vacant = False  # no filter is left
        self.held = filter.holding  # `connect` was not dispatched yet
        self.entering = False  # it is due
        self.asked = False  # `received` is to be called without bytes
        self.closing = False  # the filter knows that output ends
        self.busy = False  # the filter is being asked
        self.end_waits = False  # the peer has ended its output, which is told after `connect`, or after a pause
        self.live = False  # the connection was there before: it is `_secured` that waits, and input goes on in a pause
        self.said = False  # the last words are sent
        self.reason: OSError | None = None  # why there will be no `connect`

    def left(self) -> int:
        """How many bytes wait for the system."""
        return len(self.made)

    def stands(self, stream: Filtered, filter: Filter) -> bool:
        """Returns True if, after a call of the filter, it is still the one of an open connection."""
        return stream._socket_ is not None and stream._wire_ is self and self.filter is filter

    def urgent(self) -> bool:
        """Returns True if what comes is read although the program has paused."""
        return self.live and self.held

    # ---- output

    def add(self, made: bytes) -> None:
        """Queues what the filter has returned, behind what it has sent of its own."""
        outbox, self.filter._outbox_ = self.filter._outbox_, None
        if type(made) is not bytes:
            raise errors.wrong_type("what a filter returns", made, "bytes")
        for data in [*(outbox or ()), made]:
            self.made += data
            self.queued += len(data)

    def let_out(self, stream: Filtered) -> None:
        """What was written before there was a filter leaves as it is."""
        while stream._pending_ > self.taken:
            piece = stream._next_piece_(PIECE)
            self.made += piece
            self.taken += len(piece)
            self.queued += len(piece)
            self.records.append((len(piece), self.queued))

    def fill(self, stream: Filtered) -> bool:
        """Has the filter make something to send; returns False if that has broken or closed the connection."""
        filter = self.filter
        try:
            waits = filter.holding or self.held
            while not waits and self.left() < WIRE_LIMIT and stream._pending_ > self.taken:
                piece = stream._next_piece_(PIECE)
                self.taken += len(piece)
                self.busy = True
                made = filter.written(piece)
                self.busy = False
                waits = filter.holding
                if not self.stands(stream, filter):
                    return False
                self.add(made)
                self.records.append((len(piece), self.queued))
            ending = stream._outgoing_ == ENDING and not self.closing and not filter.holding
            if ending and stream._pending_ == self.taken:
                self.closing = self.busy = True
                made = filter.closing()
                self.busy = False
                if not self.stands(stream, filter):
                    return False
                self.add(made)
        except BaseException as error:
            self.failed(stream, error)
            return False
        return True

    def transmit(self, stream: Filtered) -> bool:
        """Does the same as `Output._transmit_`, with what the filter makes."""
        if self.busy:
            return False  # it goes on when that returns
        while True:
            sock = stream._socket_
            if sock is None or not self.fill(stream):
                return False
            left = self.left()
            if not left:
                break
            try:
                with memoryview(self.made) as wire:
                    count = sock.send(wire, MSG_NOSIGNAL)
            except (BlockingIOError, InterruptedError):
                count = 0
            except OSError as error:
                stream._fail_(error.errno or errno.EIO)
                return stream._blocked_
            self.gone(stream, count)
            if count < left:
                stream._block_()
                return True
        self.gone(stream, 0)  # what the filter has made nothing of
        if stream._pending_:  # the filter holds it back
            if not stream._guarded_:
                stream._guard_(True)
            return False
        if stream._guarded_:
            stream._blocked_ = False
            stream._guard_(False)
        if stream._outgoing_ == ENDING and self.closing:
            stream._end_output_()
        return False

    def gone(self, stream: Filtered, count: int) -> None:
        """Notes that the system has taken `count` bytes."""
        self.sent += count
        del self.made[:count]
        while self.records and self.records[0][1] <= self.sent:
            size, _ = self.records.pop(0)
            self.taken -= size
            stream._pending_ -= size
            if OUTPUT_PROGRESS in stream._listeners_:
                stream._progressed_ = True
        stream._count_()

    def drop(self) -> None:
        """Drops what is not sent yet."""
        self.made = bytearray()
        self.records = []
        self.taken = 0

    # ---- input

    def arrived(self, stream: Filtered, data: bytes) -> None:
        """Bytes have come."""
        self.received += len(data)
        self.hand_on(stream, data, at_end=False)

    def ended(self, stream: Filtered) -> None:
        """The peer has ended its output."""
        self.filter.input_ended = True
        self.hand_on(stream, b"", at_end=True)
        waiting = self.held and not self.live and not self.entering
        if waiting and stream._socket_ is not None and not stream._failure_:
            self.refuse(stream)  # before there was all that `connect` waits for

    def hand_on(self, stream: Filtered, data: bytes, *, at_end: bool) -> None:
        """Has the filter turn the bytes into input, and delivers that."""
        filter = self.filter
        try:
            self.busy = True
            made = filter.ended() if at_end else filter.received(data)
            self.busy = False
            if not self.stands(stream, filter):
                return
            if type(made) is not bytes:
                raise errors.wrong_type("what a filter returns", made, "bytes")
            self.add(b"")
        except BaseException as error:
            self.failed(stream, error)
            return
        if filter.over:
            self.leave(stream, made)
            return
        if not filter.holding and self.held and not self.entering:
            self.enter(stream)
        if made:
            stream._arrived_filtered_(made)
        if filter.input_ended and not at_end and self.stands(stream, filter) and stream._incoming_ == OPEN:
            if stream._paused_:
                self.end_waits = True
            else:
                stream._input_ends_(stream._socket_)

    def leave(self, stream: Filtered, rest: bytes) -> None:
        """Removes the filter at its own request: another one takes its place, or none is left."""
        successor = self.filter.successor
        if successor is not None:
            self.filter = successor
            try:
                self.add(successor.started())
            except BaseException as error:
                self.failed(stream, error)
                return
            if rest:
                self.hand_on(stream, rest, at_end=False)
            return
        if self.held and not self.entering:
            self.enter(stream)
        self.filter = Filter()  # for what it has made and the system has not taken, and until `connect`
        self.vacant = True
        self.vacate(stream)
        if rest:
            stream._arrived_filtered_(rest)

    def vacate(self, stream: Filtered) -> None:
        """Removes the empty filter and the wire if nothing needs them any more."""
        if self.vacant and not self.held and not self.taken and not self.left() and stream._wire_ is self:
            stream._remove_filter_()

    # ---- `connect`

    def enter(self, stream: Filtered) -> None:
        """Called when the filter lets `connect` follow, in the last step of this turn."""
        self.entering = True
        if self.server is not None:
            self.server._let_in_(stream)
        else:
            stream._attend_later_()

    def refuse(self, stream: Filtered) -> None:
        """Resets the peer, as `connect` will not follow. A server counts it, a client gets an event."""
        code = stream._failure_ or errno.ECONNRESET
        self.reason = self.error or OSError(code, os.strerror(code))
        stream._reset_()
        if self.server is not None:
            self.server._refused_ += not self.filter.uncounted
            stream._close_here_()
            return
        stream._discard_()
        stream._refused(self.reason)

    # ---- errors

    def failed(self, stream: Filtered, error: BaseException) -> None:
        """Breaks the connection in the last step of the turn, after the filter has raised."""
        code = errno.ECONNABORTED
        self.busy = False
        if isinstance(error, OSError):
            self.error = error
            code = error.errno or errno.EPROTO
        stream._torn_ = True  # nothing that comes now could be read
        self.say_last(stream)
        if stream._socket_ is not None and not stream._failure_:
            stream._fail_(code)
        if leaves(error):
            raise error
        if self.error is not error:
            report_error(error, stream)

    def say_last(self, stream: Filtered) -> None:
        """Sends the filter's last words, if the system takes them at once; then no reset has to follow."""
        words, sock = self.filter.last_words, stream._socket_
        if not words or sock is None:
            return
        self.made += b"".join([*(self.filter._outbox_ or ()), words])
        self.filter._outbox_ = None
        with suppress(OSError), memoryview(self.made) as wire:
            self.said = sock.send(wire, MSG_NOSIGNAL) == len(wire)
        self.made = bytearray()
        if self.said:
            set_linger(sock, False)
            with suppress(OSError):
                sock.shutdown(socket.SHUT_WR)
                for _ in range(LAST_READS):  # closed over unread input, the system would reset it after all
                    if not sock.recv(PIECE):
                        break

"""Receives a connection's input, through a filter if there is one, and delivers it to listeners."""

from __future__ import annotations

import errno
import socket
from time import monotonic
from typing import TYPE_CHECKING

from .events import SOCKET_DATA, socket_data
from .filter import Filter, Wire
from .flow import OWED_INPUT, Flow
from .input import CONNECTED
from .output import empty_error_queue
from .poller import READ, WRITE
from .reactor import READ_SIZE
from .source import ENDED, MSG_NOSIGNAL

READS_PER_TURN = 4  # of one stream, so that a fast sender cannot starve the others
READS_AT_THE_END = 1024  # more than any socket buffer holds


class Receiver(Flow):
    """Receiving from the descriptor, and delivery to the listeners of socketData."""

    if TYPE_CHECKING:

        def _input_ends_(self, sock: socket.socket) -> None: ...
        def _finish_(self, failure: int, call: str) -> None: ...
        def _culprit_(self, failure: int) -> str: ...
        def _refused(self, cause: OSError) -> None: ...

    def _ready_(self, events: int) -> None:
        sock = self._socket_
        if sock is None:
            return
        if self._incoming_ == ENDED:
            if events & READ:
                self._hung_up_(sock)
        elif events & READ and (not self._paused_ or (self._wire_ is not None and self._wire_.urgent())):
            self._serving_ = True
            try:
                self._receive_(sock, READS_PER_TURN)
            finally:
                self._served_()
            if events & WRITE and not self._blocked_ and self._socket_ is sock:
                empty_error_queue(sock)  # it did not wait for that: an error is reported as this event
        if events & WRITE and self._blocked_ and self._socket_ is sock:
            self._blocked_ = False
            before = self._pending_
            if self._transmit_() and self._pending_ == before:
                empty_error_queue(sock)  # there was no room after all: an error is reported as this event
            self._settle_()
            if self._progressed_:
                self._tell_progress_()

    def _hung_up_(self, sock: socket.socket) -> None:
        """Handles a hangup after the peer has ended its output: nothing that is sent arrives any more."""
        if self._outgoing_ == ENDED:
            self._finish_(0, "")
            return
        empty_error_queue(sock)
        try:
            sock.send(b"", MSG_NOSIGNAL)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._finish_(error.errno or errno.EIO, "send")

    def _receive_(self, sock: socket.socket, reads: int, made: bytes | memoryview | None = None) -> None:
        """Reads and delivers, until the system has no more or `reads` is reached.

        Args:
            sock: The socket to read from.
            reads: How many reads at most.
            made: Input that a filter has made of received bytes: it is delivered instead.
        """
        for _ in range(reads):
            if self._torn_:
                return
            if made is not None:
                chunk, room = made, len(made)
            else:
                borrowed = None
                # Not for the last input: `reads` times a small buffer might not hold all of it.
                if self._read_buffer_ is not None and not self._failure_ and self._wire_ is None:
                    borrowed = self._open_lent_()
                    if self._socket_ is not sock:
                        return
                room = READ_SIZE if borrowed is None else len(borrowed)
                if self._limit_ < self._counted_ + room and not self._failure_:
                    room = self._room_(room)
                try:
                    chunk = sock.recv(room) if borrowed is None else _receive_into(sock, borrowed, room)
                except (BlockingIOError, InterruptedError):
                    return
                except OSError as error:
                    failure = self._failure_  # of two failures the earlier one is reported
                    self._finish_(failure or error.errno or errno.EIO, self._culprit_(failure) if failure else "recv")
                    return
                if not chunk:
                    self._input_ends_(sock)
                    return
                if self._wire_ is not None:
                    self._wire_.arrived(self, bytes(chunk))
                    if self._socket_ is not sock or ((len(chunk) < room or self._paused_) and not self._failure_):
                        return
                    continue
            size = len(chunk)
            if self._longest_:
                self._moment_ = monotonic()
            if self._input_:
                self._append_input_(chunk)
                self._count_()
            else:
                self._input_ = chunk
            entries = self._listeners_.get(SOCKET_DATA)
            try:
                if entries:
                    self._deliver_(socket_data(size), entries)
            finally:
                if isinstance(chunk, memoryview):
                    if self._input_ is chunk:
                        self._move_input_()
                    chunk.release()
                if self._input_:
                    self._compact_()
                    self._count_()
            if self._socket_ is not sock:
                return
            if self._input_ and not self._failure_ and self._crowded_():
                self._finish_(errno.ENOBUFS, "recv")
                return
            if (size < room or self._paused_) and not self._failure_:
                return

    def _arrived_filtered_(self, data: bytes) -> None:
        """Delivers input that a filter has made, or keeps it until `connect`."""
        sock, done = self._socket_, 0
        if sock is None:
            return
        if self._wire_ is not None and self._wire_.held:
            self._append_input_(data)
            self._count_()
            if not self._failure_ and self._crowded_():
                self._finish_(errno.ENOBUFS, "recv")
            return
        while done < len(data):
            borrowed = None if self._read_buffer_ is None or self._failure_ else self._open_lent_()
            if self._socket_ is not sock:
                return
            if borrowed is None:
                self._receive_(sock, 1, data[done:])
                return
            with borrowed:
                part = borrowed[: len(data) - done]
                part[:] = data[done : done + len(part)]
            done += len(part)
            self._receive_(sock, 1, part)
            if self._socket_ is not sock or self._state_ != CONNECTED:
                return
            if done < len(data) and self._paused_:
                self._owed_ |= OWED_INPUT
                self._append_input_(data[done:])
                self._count_()
                return

    # ---- the filter

    def _install(self, filter: Filter, live: bool = False) -> None:
        """Puts a filter between the descriptor and this connection, which has none.

        Args:
            filter: The filter. While it holds, `connect` waits.
            live: The connection was told already: `_secured` is called in place of `connect`.
        """
        reactor = self._require_("install")
        if not isinstance(filter, Filter):
            raise TypeError(f"{filter!r} is no Filter")
        if self._wire_ is not None:
            raise RuntimeError("there is a filter already")
        wire = self._wire_ = Wire(filter)
        wire.live = live
        wire.let_out(self)
        try:
            wire.add(filter.started())
        except BaseException as error:
            wire.failed(self, error)
            return
        self._count_()
        if live:
            self._settle_()
        if wire.left() and not self._dirty_ and self._socket_ is not None:
            self._dirty_ = True
            reactor._dirty_.append(self)
            reactor._show_work_()

    def _remove_filter_(self) -> None:
        wire, self._wire_ = self._wire_, None
        if wire is not None and wire.server is not None:
            wire.server._forget_held_(self, wire)

    def _ask_filter(self) -> None:
        """Has the filter's `received` called without bytes, in the last step of this turn or the next one."""
        if self._wire_ is not None and self._socket_ is not None:
            self._wire_.asked = True
            self._attend_later_()

    @property
    def _filter_error(self) -> OSError | None:
        """The error that the filter has raised; None if it has not."""
        return None if self._wire_ is None else self._wire_.error

    @property
    def _wire_counts(self) -> tuple[int, int] | None:
        """How many bytes were received and sent, as the filter has them; None without one."""
        return None if self._wire_ is None else (self._wire_.received, self._wire_.sent)


def _receive_into(sock: socket.socket, memory: memoryview, room: int) -> bytes | memoryview:
    """As `recv`; releases the memory that the received bytes do not need."""
    with memory:
        size = sock.recv_into(memory, room)
        return memory[:size] if size else b""

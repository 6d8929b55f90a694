"""The connection: its life, from the accept or the connect to the end."""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING

from ... import errors
from ..endpoints import SocketAddress, host_of, port_of
from .connector import Connector
from .events import CLOSE, CONNECT, END, IO_ERROR, SOCKET_DATA, Event, socket_data
from .input import CLOSED, CONNECTED, CONNECTING, ENDED, FINISHED, OPEN
from .lingerer import Lingerer
from .output import MSG_NOSIGNAL, Output, empty_error_queue, reset
from .reactor import HANGUP, READ, READ_SIZE, RESTING, WRITE, Reactor, Slot
from .source import Tally

READS_PER_TURN = 4  # of one stream, so that a fast sender cannot starve the others
READS_AT_THE_END = 1024  # more than any socket buffer holds
SURELY_ARRIVED = 16384  # bytes: about what the system sends at once to who has acknowledged nothing yet

# What happened while there was no listener for it.
OWED_INPUT, OWED_END, OWED_ERROR, OWED_CLOSE = 1, 2, 4, 8


class Stream(Output):
    """A connection: its life, from the accept or the connect to the end. The public class is `serversocket.Socket`."""

    _remote_: SocketAddress | None = None
    _local_: SocketAddress | None = None  # once FINISHED; until then the descriptor is asked
    _no_delay_ = False
    _half_open_ = False  # the peer's end of output is not the end of the connection
    _owed_ = 0  # of these: to be told when somebody begins to listen
    _fragile_ = False  # a listener that raises breaks the connection

    if TYPE_CHECKING:

        def _broken(self, code: int, call: str) -> None: ...
        def _connection_made(self) -> None: ...

    # ---- state

    @property
    def connected(self) -> bool:
        """Whether the socket is connected (AIR: ``connected``)."""
        return self._state_ == CONNECTED

    @property
    def remote_address(self) -> str | None:
        """The peer's IP address, or ``None`` (AIR: ``remoteAddress``); it outlives the peer's leaving."""
        return host_of(self._remote_) if self._state_ >= CONNECTED else None

    @property
    def remote_port(self) -> int:
        """The peer's port, or 0 (AIR: ``remotePort``); it outlives the peer's leaving."""
        return port_of(self._remote_) if self._state_ >= CONNECTED else 0

    @property
    def local_address(self) -> str | None:
        """The IP address of this end, or ``None`` (AIR: ``localAddress``); it outlives the peer's leaving."""
        return host_of(self._local_address_())

    @property
    def local_port(self) -> int:
        """The port of this end, or 0 (AIR: ``localPort``); it outlives the peer's leaving."""
        return port_of(self._local_address_())

    def _local_address_(self) -> SocketAddress | None:
        if self._state_ == FINISHED:
            return self._local_
        if self._state_ == CONNECTED and self._socket_ is not None:
            with suppress(OSError):
                address: SocketAddress = self._socket_.getsockname()
                return address
        return None

    @property
    def tcp_no_delay(self) -> bool:
        """True if small writes are sent at once, without Nagle's algorithm (AIR: ``tcpNoDelay``).

        Off at first, as in AIR: a small write that follows another one may wait until the peer has acknowledged that,
        up to 40 ms. asyncio, trio and Go have it on, and so has `serversocket.aio`. Turn it on where the program writes
        several times in a row, at different moments, without waiting for an answer. It holds for later connections of
        this socket, too.

        Example:
            >>> import serversocket
            >>> def connected(event):
            ...     event.socket.tcp_no_delay = True
            >>> server = serversocket.ServerSocket()
            >>> server.add_event_listener("connect", connected)
        """
        return self._no_delay_

    @tcp_no_delay.setter
    def tcp_no_delay(self, value: bool) -> None:
        self._check_()
        self._no_delay_ = bool(value)
        if self._socket_ is not None:
            self._socket_.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, self._no_delay_)

    @property
    def _opened(self) -> bool:
        return self._state_ in (CONNECTING, CONNECTED)

    def _listening_changed(self, type: str, present: bool) -> None:
        if self._slot_ is not None:
            self._hold_(self._slot_)
        if present and type == SOCKET_DATA and self._input_:
            self._owed_ |= OWED_INPUT
        if self._owed_ and self._reactor_ is not None and self._reactor_._serves_():
            self._attend_later_()

    def _pay_(self) -> None:
        """Tells what happened before somebody listened, in the order in which it happened."""
        if not self._paused_ and self._owes_(OWED_INPUT, SOCKET_DATA) and (size := self.bytes_available):
            self._serving_ = True
            try:
                self._deliver_(socket_data(size), self._listeners_[SOCKET_DATA])
            finally:
                self._served_()
        if self._owes_(OWED_END, END):
            self._deliver_(Event(END), self._listeners_[END])
        if self._owes_(OWED_ERROR, IO_ERROR):
            self._broken(self._failure_, "recv")
        if self._owes_(OWED_CLOSE, CLOSE):
            self._deliver_(Event(CLOSE), self._listeners_[CLOSE])

    def _owes_(self, debt: int, type: str) -> bool:
        """Returns True if there is something to tell and somebody to be told; then it is taken for told."""
        due = bool(self._owed_ & debt) and type in self._listeners_
        if due:
            self._owed_ &= ~debt
        return due

    def _hold_(self, slot: Slot) -> None:
        slot.owner = self if self._listeners_ or self._pending_ else None

    def _settle_(self) -> None:
        """Registers what follows from the state, once the program's call has returned."""
        slot = self._slot_
        if slot is None or self._reactor_ is None:
            return
        self._hold_(slot)
        # Nothing is left to read behind the end; that the peer breaks the connection is still worth hearing.
        reading = HANGUP if self._incoming_ else RESTING if self._paused_ else READ
        events = reading | (WRITE if self._blocked_ else 0)
        if events != slot.events:
            try:
                self._reactor_._watch_(slot, events)
            except OSError as error:
                self._fail_(error.errno or errno.EIO)

    def _discard_(self) -> None:
        """Closes without events, and forgets input and output."""
        self._state_ = CLOSED
        self._incoming_ = self._outgoing_ = OPEN
        self._input_, self._start_ = b"", 0
        self._failure_ = 0
        self._owed_ = 0
        self._paused_ = self._torn_ = False
        self._drop_output_()
        self._shut_()

    def _attend_(self) -> None:
        self._attending_ = False
        if self._progressed_:
            self._tell_progress_()
        if self._owed_:
            self._pay_()
        sock, failure = self._socket_, self._failure_
        if failure and sock is not None:
            if failure != errno.ENOBUFS:  # where too much is kept, more is not read
                self._receive_(sock, READS_AT_THE_END)
            if self._socket_ is sock:
                self._finish_(failure, self._culprit_(failure))
        elif self._incoming_ == ENDED and self._outgoing_ == ENDED and self._state_ == CONNECTED:
            self._finish_(0, "")

    def _culprit_(self, failure: int) -> str:
        """The call that an error is told of."""
        return "idle" if failure == errno.ETIMEDOUT and self._longest_ else "send"

    # ---- flow

    @property
    def allow_half_open(self) -> bool:
        """Whether the connection stays open for output when the peer has ended its own; off at first, as in AIR.

        Then ``end`` (`Event`) tells of the peer's end, and the program closes the socket when it has written what it
        has to say. ``close`` follows only where it has called `write_eof`, or where the connection breaks.

        Example:
            >>> import serversocket
            >>> def connected(event):
            ...     event.socket.allow_half_open = True
            ...     event.socket.add_event_listener("end", answer)
            >>> def answer(event):
            ...     event.target.write(b"%d bytes" % event.target.bytes_available)
            ...     event.target.close()
            >>> server = serversocket.ServerSocket()
            >>> server.add_event_listener("connect", connected)
        """
        return self._half_open_

    @allow_half_open.setter
    def allow_half_open(self, value: bool) -> None:
        self._check_()
        self._half_open_ = bool(value)

    @property
    def input_ended(self) -> bool:
        """Whether the peer has ended its output: no more input comes."""
        return self._incoming_ == ENDED or self._state_ == FINISHED

    def pause(self) -> None:
        """Stops reading: no ``socketData`` until `resume`. What arrives waits in the system, and then the peer does.

        That the peer has closed or broken the connection is heard after `resume` too, behind its last bytes. Only a
        failed send ends the pause: the program is told at once, and what had arrived stays readable. A new connection
        is not paused. Called again, it does nothing.

        Raises:
            IOError: The socket is not connected (#2002).

        Example:
            >>> import serversocket
            >>> def forward(event):
            ...     target.write(event.target.read())
            ...     if target.congested:
            ...         event.target.pause()  # until target's outputProgress resumes it
            >>> source, target = serversocket.Socket(), serversocket.Socket()
            >>> source.add_event_listener("socketData", forward)
        """
        self._require_("pause")
        if not self._failure_ and not self._paused_:
            self._paused_ = True
            self._settle_()

    def resume(self) -> None:
        """Goes on reading after `pause`. Without one, it does nothing.

        Raises:
            IOError: The socket is not connected (#2002).
        """
        self._require_("resume")
        if self._paused_:
            self._paused_ = False
            self._settle_()
            if self._owed_:
                self._attend_later_()

    @property
    def abort_on_error(self) -> bool:
        """True if a listener of this socket that raises breaks the connection; False, at first, as in AIR.

        Then the peer is reset instead of waiting for an answer that never comes. The error becomes ``uncaughtError``
        as always; ``ioError`` with ``errno.ECONNABORTED`` and ``close`` follow from the reactor. It stays set over
        reconnects.

        Example:
            >>> import serversocket
            >>> def connected(event):
            ...     event.socket.abort_on_error = True
            >>> server = serversocket.ServerSocket()
            >>> server.add_event_listener("connect", connected)
        """
        return self._fragile_

    @abort_on_error.setter
    def abort_on_error(self, value: bool) -> None:
        self._check_()
        self._fragile_ = bool(value)

    def _listener_failed_(self) -> None:
        if self._fragile_ and self._state_ == CONNECTED and not self._failure_:
            self._fail_(errno.ECONNABORTED)

    @property
    def paused(self) -> bool:
        """Whether `pause` was called, and `resume` was not."""
        return self._paused_

    def _set_longest(self, milliseconds: int) -> None:
        """How long it may be idle from now on; 0 for ever."""
        self._check_()
        self._longest_ = milliseconds / 1000
        self._moment_ = monotonic()
        self._fetched_ = self._got_()

    def _set_option(self, level: int, name: int, value: int) -> None:
        """Sets an option of the system's socket, a number; an OSError if it refuses."""
        self._check_()
        if self._socket_ is not None:
            self._socket_.setsockopt(level, name, value)

    # ---- readiness

    def _ready_(self, events: int) -> None:
        sock = self._socket_
        if sock is None:
            return
        if self._incoming_ == ENDED:
            if events & READ:
                self._hung_up_(sock)
        elif events & READ and not self._paused_:
            self._serving_ = True
            try:
                self._receive_(sock, READS_PER_TURN)
            finally:
                self._served_()
            if events & WRITE and not self._blocked_ and self._socket_ is sock:
                empty_error_queue(sock)  # it did not wait for that: it is how an error is told
        if events & WRITE and self._blocked_ and self._socket_ is sock:
            self._blocked_ = False
            before = self._pending_
            if self._transmit_() and self._pending_ == before:
                empty_error_queue(sock)  # there was no room after all: it is how an error is told
            self._settle_()
            if self._progressed_:
                self._tell_progress_()

    def _hung_up_(self, sock: socket.socket) -> None:
        """What the system may still tell when the peer has ended its output: that nothing arrives there any more."""
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

    def _receive_(self, sock: socket.socket, reads: int) -> None:
        """Reads and delivers, until the system has no more or `reads` is reached."""
        for _ in range(reads):
            if self._torn_:
                return
            borrowed = None
            # Not for what is left in the end: `reads` of a small buffer might not hold it.
            if self._read_buffer_ is not None and not self._failure_:
                borrowed = self._borrow_()
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
                failure = self._failure_  # of two the earlier one is the reason
                self._finish_(failure or error.errno or errno.EIO, self._culprit_(failure) if failure else "recv")
                return
            if not chunk:
                self._input_ends_(sock)
                return
            size = len(chunk)
            if self._longest_:
                self._moment_ = monotonic()
            if self._input_:
                self._keep_input_(chunk)
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
                        self._take_back_()
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

    def _input_ends_(self, sock: socket.socket) -> None:
        """The peer has said that nothing more comes. To AIR that is the end; a program may go on alone."""
        if not self._failure_ and (self._pending_ or self._progressed_):
            self._send_()
            if self._progressed_:
                self._tell_progress_()  # of what was written before the end is known
                if self._socket_ is not sock or self._paused_:
                    return
        if self._failure_ or not self._half_open_:
            self._finish_(self._failure_, self._culprit_(self._failure_))
            return
        self._incoming_ = ENDED
        entries = self._listeners_.get(END)
        try:
            if entries:
                self._deliver_(Event(END), entries)
            else:
                self._owed_ |= OWED_END
        finally:
            if self._socket_ is sock:
                if self._outgoing_ == ENDED and not self._failure_:
                    self._finish_(0, "")
                else:
                    self._settle_()

    def _finish_(self, failure: int, call: str) -> None:
        """The peer has closed, or the connection broke."""
        if self._progressed_:
            sock = self._socket_
            self._tell_progress_()  # of what was sent before that was known
            if self._socket_ is not sock or sock is None:
                return
        if not failure and self._pending_:
            self._transmit_()
            failure, call = self._failure_, self._culprit_(self._failure_)
        self._local_ = self._local_address_()
        self._state_ = FINISHED
        if failure:
            # Whatever the reason was, the peer must not take this for the end of the stream.
            if self._socket_ is not None:
                reset(self._socket_)
        elif self._pending_:
            self._linger_(ended=True)
        self._drop_output_()
        self._failure_ = 0
        self._paused_ = False
        self._shut_()
        try:
            if failure and IO_ERROR in self._listeners_:
                self._broken(failure, call)
            elif failure:
                self._failure_ = failure
                self._owed_ |= OWED_ERROR
        finally:
            entries = self._listeners_.get(CLOSE)
            if entries and self._state_ == FINISHED:
                self._deliver_(Event(CLOSE), entries)
            elif self._state_ == FINISHED:
                self._owed_ |= OWED_CLOSE
        if self._state_ == FINISHED and self._input_ and self._reactor_ is not None:
            self._reactor_._finished_[id(self)] = self

    # ---- the end

    def close(self) -> None:
        """Sends what is pending and closes (AIR: ``close``). Unread input is dropped; there is no event.

        Raises:
            IOError: The socket is not open (#2002).
        """
        self._close()

    def _close(self) -> Lingerer | None:
        """As `close`; returns what still sends, or None if the system has taken everything."""
        if self._reactor_is_dead_():
            self._discard_()
            return None
        self._check_()
        if self._state_ == CONNECTING:
            self._state_ = CLOSED
            self._close_here_()
            return None
        self._require_("close")
        if self._pending_ and not self._blocked_:
            self._transmit_()
        sock, lingerer = self._socket_, None
        if sock is not None:
            if self._failure_:
                reset(sock)
            elif self._pending_ or (self._written_ and self._would_lose_(sock)):
                lingerer = self._linger_(self._incoming_ == ENDED)
        self._close_here_()
        return lingerer

    def abort(self) -> None:
        """Drops what is pending and resets the connection; the peer sees an error. There is no event.

        Raises:
            IOError: The socket is not connected (#2002).
        """
        self._require_("abort")
        if self._socket_ is not None:
            reset(self._socket_)
        self._close_here_()

    def _linger_(self, ended: bool = False) -> Lingerer | None:
        """Hands the descriptor and what is still to be sent to a Lingerer."""
        reactor, sock = self._reactor_, self._let_go_()
        if reactor is None or sock is None:
            return None
        tally, self._tally_ = self._tally_, None
        output, self._output_ = self._output_, None
        pending, self._pending_ = self._pending_, 0
        guarded, self._guarded_ = self._guarded_, False
        self._count_()
        return Lingerer(reactor, sock, tally, output, pending, ended, guarded)

    def _abandon_(self) -> None:
        """It is open, and nobody can reach it any more: it ends as with `close`, if the reactor can see to that."""
        reactor, sock = self._reactor_, self._socket_
        if reactor is None or sock is None or not reactor._serves_():
            if self._pending_ and sock is not None:
                reset(sock)  # nobody would see to what lingers
        elif self._pending_ or (self._written_ and self._would_lose_(sock)):
            self._linger_(self._incoming_ == ENDED)
        self._shut_()

    def _would_lose_(self, sock: socket.socket) -> bool:
        """Whether a plain close might cost the peer a part of what was sent to it.

        The system resets a connection that is closed over unread input, or that input arrives at afterwards, and drops
        what the peer has not got yet. Where all that was ever sent is small, it is taken for already got.
        """
        with suppress(OSError):
            if sock.recv(1, socket.MSG_PEEK):
                return True
        return self._written_ > SURELY_ARRIVED and self._incoming_ == OPEN and self._unfetched_() > 0

    # ---- beginning

    def _accept_(self, reactor: Reactor, accepted: socket.socket, peer: SocketAddress, tally: Tally) -> None:
        self._reactor_ = reactor
        self._own_or_close_(reactor, accepted)
        self._tally_ = tally
        tally.open += 1
        self._remote_ = peer
        self._state_ = CONNECTED

    def _begin_connecting(self) -> None:
        self._discard_()
        self._owner_()._finished_.pop(id(self), None)
        self._state_ = CONNECTING

    def _connecting_failed(self) -> None:
        self._state_ = CLOSED

    def _adopt(self, connector: Connector) -> None:
        reactor, sock = self._owner_(), connector._let_go_()
        if sock is None:
            raise errors.not_open("connect")
        self._discard_()
        self._guarded_ = False
        self._written_ = self._fetched_ = 0
        self._own_or_close_(reactor, sock)
        self._state_ = CONNECTED
        try:
            self._remote_ = sock.getpeername()
        except OSError:
            self._remote_ = connector._address_  # it is gone again
        self._moment_ = monotonic()
        try:
            if self._no_delay_:
                self.tcp_no_delay = True
            self._connection_made()
        except OSError as error:
            self._fail_(error.errno or errno.EIO)
        entries = self._listeners_.get(CONNECT)
        try:
            if entries:
                self._deliver_(Event(CONNECT), entries)
        finally:
            if self._socket_ is sock:
                self._settle_()


def _receive_into(sock: socket.socket, memory: memoryview, room: int) -> bytes | memoryview:
    """As `recv`; gives the memory back, except for the part that holds what was received."""
    with memory:
        size = sock.recv_into(memory, room)
        return memory[:size] if size else b""


def quicken(cls: type[Stream]) -> None:
    """Nothing is to be done: the interpreter calls methods that are written in Python as directly as it can."""

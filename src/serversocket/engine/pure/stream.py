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
from .filter import Wire
from .flow import OWED_CLOSE, OWED_END, OWED_ERROR, OWED_INPUT
from .input import CLOSED, CONNECTED, CONNECTING, FINISHED
from .lingerer import Lingerer
from .output import reset
from .poller import HANGUP, READ, RESTING, WRITE, Slot
from .reactor import Reactor
from .receiver import READS_AT_THE_END, Receiver
from .source import ENDED, ENDING, OPEN, Tally

SURELY_ARRIVED = 16384  # bytes: about what the system sends at once to a peer that has acknowledged nothing yet


class Stream(Receiver):
    """A connection: its life, from the accept or the connect to the end. The public class is `serversocket.Socket`."""

    _remote_: SocketAddress | None = None
    _local_: SocketAddress | None = None  # set once FINISHED; until then the system is asked
    _no_delay_ = False
    _half_open = False  # the connection goes on after the peer's end of output
    _fragile = False  # an exception of a listener breaks the connection

    if TYPE_CHECKING:

        def _broken(self, code: int, call: str) -> None: ...
        def _connection_made(self) -> None: ...
        def _secured(self) -> None: ...

    # ---- state

    @property
    def connected(self) -> bool:
        """True if the socket is connected (AIR: ``connected``)."""
        return self._state_ == CONNECTED

    @property
    def remote_address(self) -> str | None:
        """The peer's IP address, or ``None`` (AIR: ``remoteAddress``); it remains after the peer has left."""
        return host_of(self._remote_) if self._state_ >= CONNECTED else None

    @property
    def remote_port(self) -> int:
        """The peer's port, or 0 (AIR: ``remotePort``); it remains after the peer has left."""
        return port_of(self._remote_) if self._state_ >= CONNECTED else 0

    @property
    def local_address(self) -> str | None:
        """The IP address of this end, or ``None`` (AIR: ``localAddress``); it remains after the peer has left."""
        return host_of(self._local_address_())

    @property
    def local_port(self) -> int:
        """The port of this end, or 0 (AIR: ``localPort``); it remains after the peer has left."""
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

        The default is False, as in AIR: a small write that follows another one may wait, up to 40 ms, until the peer
        has acknowledged that. In asyncio, trio, Go and `serversocket.aio` it is on. Turn it on if the program writes
        several times in a row, at different moments, without waiting for an answer. The setting also applies to later
        connections of this socket.

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

    def _listening_changed_(self, type: str, present: bool) -> None:
        if self._slot_ is not None:
            self._hold_(self._slot_)
        if present and type == SOCKET_DATA and self._input_:
            self._owed_ |= OWED_INPUT
        if self._owed_ and self._reactor_ is not None and self._reactor_._serves_():
            self._attend_later_()

    def _pay_(self) -> None:
        """Dispatches what happened before there was a listener, in the order in which it happened."""
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
        """Returns True if an event is owed and there is a listener; then it is owed no more."""
        due = bool(self._owed_ & debt) and type in self._listeners_
        if due:
            self._owed_ &= ~debt
        return due

    def _hold_(self, slot: Slot) -> None:
        wanted = self._listeners_ or self._pending_ or (self._wire_ is not None and self._unsent_())
        slot.owner = self if wanted else None

    def _settle_(self) -> None:
        """Registers what follows from the state, once the program's call has returned."""
        slot = self._slot_
        if slot is None or self._reactor_ is None:
            return
        self._hold_(slot)
        # Nothing is left to read behind the end; that the peer breaks the connection is still worth hearing.
        resting = self._paused_ and not (self._wire_ is not None and self._wire_.urgent())
        reading = HANGUP if self._incoming_ else RESTING if resting else READ
        events = reading | (WRITE if self._blocked_ else 0)
        if events != slot.events:
            try:
                self._reactor_._poller_.watch(slot, events)
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
        if self._wire_ is not None:
            self._remove_filter_()

    def _attend_(self) -> None:
        self._attending_ = False
        if self._progressed_:
            self._tell_progress_()
        if self._wire_ is not None:
            self._attend_to_filter_(self._wire_)
        if self._owed_:
            self._pay_()
        if self._wire_ is not None:
            self._end_that_waited_(self._wire_)
        sock, failure = self._socket_, self._failure_
        if failure and sock is not None:
            if failure != errno.ENOBUFS:  # over the limit, nothing more is read
                self._receive_(sock, READS_AT_THE_END)
            if self._socket_ is sock:
                self._finish_(failure, self._culprit_(failure))
        elif self._incoming_ == ENDED and self._outgoing_ == ENDED and self._state_ == CONNECTED:
            self._finish_(0, "")

    def _culprit_(self, failure: int) -> str:
        """Returns the name of the call that an error is reported for."""
        return "idle" if failure == errno.ETIMEDOUT and self._longest_ else "send"

    # ---- flow

    @property
    def input_ended(self) -> bool:
        """True if the peer has ended its output: no more input arrives."""
        return self._incoming_ == ENDED or self._state_ == FINISHED

    def pause(self) -> None:
        """Stops reading: no ``socketData`` until `resume`. The system's buffers fill, then the peer has to wait.

        If the peer closes or resets the connection, the event follows after `resume`, behind the last bytes. Only a
        failed send ends the pause: the event follows at once, and input that had arrived stays readable. A new
        connection is not paused. A second call does nothing.

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
        """Continues reading after `pause`. Does nothing if the socket is not paused.

        Raises:
            IOError: The socket is not connected (#2002).
        """
        self._require_("resume")
        if self._paused_:
            self._paused_ = False
            self._settle_()
            if self._owed_ or self._wire_ is not None:
                self._attend_later_()

    def _listener_failed_(self) -> None:
        if self._fragile and self._state_ == CONNECTED and not self._failure_:
            self._fail_(errno.ECONNABORTED)

    @property
    def paused(self) -> bool:
        """True if `pause` was called, and `resume` was not called since."""
        return self._paused_

    def _set_longest(self, milliseconds: int) -> None:
        """Sets how long it may be idle from now on; 0 for no limit."""
        self._check_()
        self._longest_ = milliseconds / 1000
        self._moment_ = monotonic()
        self._fetched_ = self._got_()

    def _set_option(self, level: int, name: int, value: int) -> None:
        """Sets a numeric option of the system's socket; raises an OSError if the system refuses it."""
        self._check_()
        if self._socket_ is not None:
            self._socket_.setsockopt(level, name, value)

    def _input_ends_(self, sock: socket.socket) -> None:
        """Handles the peer's end of output: AIR closes the connection then; a half-open one continues."""
        if self._wire_ is not None and not self._failure_:
            goes_on = self._input_ends_filtered_(self._wire_)
            if not goes_on or self._socket_ is not sock:
                return
        if not self._failure_ and (self._pending_ or self._progressed_):
            self._send_output_()
            if self._progressed_:
                self._tell_progress_()  # of what was written before the end became known
                if self._socket_ is not sock or self._paused_:
                    return
        if self._failure_ or not self._half_open:
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

    def _input_ends_filtered_(self, wire: Wire) -> bool:
        """Asks the filter for the last of the input; returns False if the end has to wait for `connect`."""
        if not (wire.held and wire.entering) and not wire.filter.input_ended:
            wire.ended(self)
        if wire.held and wire.entering:
            wire.end_waits = True
            return False
        return True

    def _finish_(self, failure: int, call: str) -> None:
        """The peer has closed, or the connection broke."""
        if self._wire_ is not None and self._wire_.held and not self._wire_.live:
            self._wire_.refuse(self)
            return
        if self._progressed_:
            sock = self._socket_
            self._tell_progress_()  # of what was sent before that became known
            if self._socket_ is not sock or sock is None:
                return
        if not failure and self._wire_ is not None and self._outgoing_ == OPEN:
            self._outgoing_ = ENDING  # the filter may add bytes after the last output
        if not failure and (self._pending_ or self._wire_ is not None):
            self._transmit_()
            failure, call = self._failure_, self._culprit_(self._failure_)
        self._local_ = self._local_address_()
        self._state_ = FINISHED
        if failure:
            # Whatever the reason was, the peer must not take this for the end of the stream.
            self._reset_()
        elif self._unsent_():
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
        """Closes after sending the pending output (AIR: ``close``). Unread input is dropped; there is no event.

        Raises:
            IOError: The socket is not open (#2002).
        """
        self._close()

    def _close(self) -> Lingerer | None:
        """As `close`; returns the `Lingerer` that still sends, or None if the system has taken everything."""
        if self._reactor_is_dead_():
            self._discard_()
            return None
        self._check_()
        if self._state_ == CONNECTING:
            self._state_ = CLOSED
            self._close_here_()
            return None
        self._require_("close")
        if self._wire_ is not None:
            return self._close_filtered_(self._wire_)
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

    def _close_filtered_(self, wire: Wire) -> Lingerer | None:
        """Has the filter end its output, if it has sent anything."""
        lingerer = None
        # Else a method of the filter closes it, and the output that this has taken would be missing.
        said = not (wire.held or wire.busy)
        if said:
            if self._outgoing_ == OPEN:
                self._outgoing_ = ENDING
            if not self._blocked_:
                self._transmit_()
        sock = self._socket_
        if sock is not None:  # else the filter has closed it
            if self._failure_ or not said:
                self._reset_()
            elif self._unsent_() or (wire.sent and self._would_lose_(sock)):
                lingerer = self._linger_(self._incoming_ == ENDED)
        self._close_here_()
        return lingerer

    def abort(self) -> None:
        """Drops the pending output and resets the connection; the peer sees an error. There is no event.

        Raises:
            IOError: The socket is not connected (#2002).
        """
        self._require_("abort")
        self._reset_()
        self._close_here_()

    def _linger_(self, ended: bool = False) -> Lingerer | None:
        """Hands the descriptor and the pending output to a Lingerer."""
        reactor, sock = self._reactor_, self._let_go_()
        if reactor is None or sock is None:
            return None
        tally, self._tally_ = self._tally_, None
        output, self._output_ = self._output_, None
        pending, self._pending_ = self._pending_, 0
        guarded, self._guarded_ = self._guarded_, False
        wire, self._wire_ = self._wire_, None
        self._count_()
        return Lingerer(reactor, sock, tally, output, pending, ended, guarded, wire, self._outgoing_)

    def _abandon_(self) -> None:
        """Closes a collected connection as with `close`, if the reactor can still send the rest."""
        reactor, sock = self._reactor_, self._socket_
        if reactor is None or sock is None or not reactor._serves_():
            if (self._pending_ or self._wire_ is not None) and sock is not None:
                reset(sock)  # no reactor would serve a lingerer
        elif self._wire_ is not None:
            if self._quiet_:
                self._close_filtered_(self._wire_)
                return
            reset(sock)  # its filter would have had more to send
        elif self._pending_ or (self._written_ and self._would_lose_(sock)):
            self._linger_(self._incoming_ == ENDED)
        self._shut_()

    def _would_lose_(self, sock: socket.socket) -> bool:
        """Returns True if a plain close might lose output that was sent to the peer.

        The system resets a connection that is closed with unread input, or that input arrives at afterwards, and drops
        the output that the peer has not received. If all output of the connection was small, it counts as received.
        """
        with suppress(OSError):
            if sock.recv(1, socket.MSG_PEEK):
                return True
        sent = self._written_ if self._wire_ is None else self._wire_.sent
        return sent > SURELY_ARRIVED and self._incoming_ == OPEN and self._unfetched_() > 0

    # ---- beginning

    def _accept_(self, reactor: Reactor, accepted: socket.socket, peer: SocketAddress, tally: Tally) -> None:
        self._reactor_ = reactor
        self._wire_ = None  # read at every step: found faster here than in the class
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
            self._remote_ = connector._address_  # the peer has left already
        self._moment_ = monotonic()
        try:
            if self._no_delay_:
                self.tcp_no_delay = True
            self._connection_made()
        except OSError as error:
            self._fail_(error.errno or errno.EIO)
        self._tell_connect_(sock)

    def _tell_connect_(self, sock: socket.socket) -> None:
        entries = self._listeners_.get(CONNECT)
        try:
            if entries and (self._wire_ is None or not self._wire_.held):
                self._deliver_(Event(CONNECT), entries)
        finally:
            if self._socket_ is sock:
                self._settle_()

    def _attend_to_filter_(self, wire: Wire) -> None:
        wire.vacate(self)
        if wire.asked and not self._failure_:
            wire.asked = False
            wire.hand_on(self, b"", at_end=False)
        sock = self._socket_
        if sock is None:
            return
        if wire.entering and wire.server is None and wire.held and not self._failure_:
            wire.held = False
            if wire.live:
                self._settle_()
                self._secured()
            else:
                self._tell_connect_(sock)
            self._after_connect_(wire)
        self._send_output_()

    def _after_connect_(self, wire: Wire) -> None:
        """Delivers what arrived before `connect`."""
        wire.entering = False
        wire.vacate(self)
        if self._input_ and self._state_ == CONNECTED:
            self._owed_ |= OWED_INPUT
            self._pay_()
        self._end_that_waited_(wire)

    def _end_that_waited_(self, wire: Wire) -> None:
        """Tells of the peer's end, for which it was too early."""
        sock = self._socket_
        if wire.end_waits and not (wire.held or self._paused_ or self._failure_) and sock is not None:
            wire.end_waits = False
            self._input_ends_(sock)

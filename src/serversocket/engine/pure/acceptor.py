"""A listening socket, which accepts connections."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING, Any

from ... import errors
from ..accept_errors import Action, action_for
from ..endpoints import SocketAddress
from ..uncaught import leaves
from .dispatcher import report_error
from .events import CLOSE, CONNECT, Event, client_connected
from .poller import READ, WRITE
from .reactor import Reactor
from .source import Source, Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Self

    from .dispatcher import _Registrations
    from .filter import Filter, Wire
    from .stream import Stream

ACCEPTS_PER_TURN = 64  # of one acceptor, so that a flood of clients cannot starve the others


class Acceptor(Source):
    """A listening socket. The public class is `serversocket.ServerSocket`."""

    _socket_class: type[Stream]
    _listening_ = False
    _paused_ = False
    _most_connections = 0  # that may be open at once; 0: any number
    _refused_ = 0  # clients that were closed at once
    _connections_: Tally
    _admission: Callable[[Stream], Filter | None] | None = None
    """Called with each accepted stream before its ``connect``; returns its `Filter`, or None."""
    _held_: dict[int, Stream]  # clients whose `connect` waits for their filters, by id, oldest first
    _entering_: list[Stream]  # those of them for whom it is due
    _attending_ = False

    if TYPE_CHECKING:

        def _accept_failed(self, code: int, lasting: bool) -> None: ...

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._connections_ = Tally()
        self._held_ = {}
        self._entering_ = []
        return self

    @property
    def bound(self) -> bool:
        """True if the socket is bound to a local address and port (AIR: ``bound``)."""
        return self._socket_ is not None

    @property
    def listening(self) -> bool:
        """True if the socket listens for connections (AIR: ``listening``)."""
        return self._listening_

    @property
    def connections(self) -> int:
        """How many of the accepted connections are open, including closed ones that still send their last output."""
        return self._connections_.open

    @property
    def turned_away(self) -> int:
        """How many clients were closed at once: they exceeded `max_connections`, or no descriptor was left."""
        return self._refused_

    def _take(self, fd: int, listening: bool) -> None:
        """Takes over a descriptor that is bound, and perhaps listens; if this raises, the caller still owns it."""
        reactor = self._owner_()
        sock = socket.socket(fileno=fd)
        try:
            sock.setblocking(False)  # gevent's goes by what its object is told
            self._own_(reactor, sock)
            self._begin_listening_(reactor, listening)
        except BaseException:
            self._listening_ = False
            self._let_go_()
            sock.detach()
            raise

    def _listen(self, deferring: bool) -> None:
        """Begins to accept: the descriptor listens now, and the system shows clients late if `deferring`."""
        self._begin_listening_(self._owner_(), True)

    def _begin_listening_(self, reactor: Reactor, listening: bool) -> None:
        if listening:
            reactor._open_spare_()
        self._listening_ = listening
        try:
            self._settle_()
        except BaseException:
            self._listening_ = bool(self._slot_ and self._slot_.events)
            raise

    def _close(self) -> None:
        if not self._reactor_is_dead_():
            self._check_()
            if self._socket_ is None:
                raise errors.not_open("close")
        self._close_here_()

    def _pause(self) -> None:
        self._paused_ = True
        self._settle_()

    def _resume(self) -> None:
        self._paused_ = False
        self._settle_()

    def _discard_(self) -> None:
        self._listening_ = self._paused_ = False
        self._shut_()
        self._entering_ = []
        while self._held_:
            self._held_.popitem()[1]._discard_()

    def _listening_changed_(self, type: str, present: bool) -> None:
        try:
            self._settle_()
        except OSError as error:
            self._listeners_.pop(type, None)  # it was the first listener of its type, or the last
            raise errors.invalid_socket("epoll_ctl", "", error) from None

    def _settle_(self) -> None:
        """Registers what follows from the state: it accepts nothing before there is a listener of `connect`."""
        slot = self._slot_
        if slot is None or self._reactor_ is None:
            return
        slot.owner = self if self._listeners_ else None
        if self._listening_:
            # A listening socket never becomes writable as long as it listens: this waits for its end alone.
            self._reactor_._poller_.watch(slot, READ if not self._paused_ and CONNECT in self._listeners_ else WRITE)

    def _ready_(self, events: int) -> None:
        reactor, sock = self._reactor_, self._socket_
        if reactor is None or sock is None or self._slot_ is None:
            return
        if events & WRITE:
            if not self._gone_(sock):
                reactor._poller_.watch(self._slot_, 0)  # so that a system without this rule does not spin
            return
        code = failures = 0
        for _ in range(ACCEPTS_PER_TURN):
            entries = self._listeners_.get(CONNECT)
            if self._socket_ is not sock or self._paused_ or not entries:
                self._settle_()  # reported unasked: a change of the registration has failed
                return
            try:
                accepted, peer = sock.accept()
            except OSError as error:
                code = error.errno or errno.EIO
                if not self._accept_goes_on_(sock, code):
                    return
                failures += 1
                continue
            if self._most_connections and self._connections_.open >= self._most_connections:
                accepted.close()
                self._refused_ += 1
                continue
            self._accepted_(reactor, accepted, peer, entries)
        if failures == ACCEPTS_PER_TURN:
            self._accept_failed(code, True)  # an error of one client's that concerns all of them

    def _accepted_(
        self, reactor: Reactor, accepted: socket.socket | None, peer: SocketAddress, entries: _Registrations
    ) -> None:
        """Dispatches `connect` for a new client, or for the next one whose filter has held that back."""
        wire: Wire | None = None
        if accepted is None:
            stream = self._entering_.pop(0)
            wire = stream._wire_
            event = client_connected(stream)
        else:
            sock = self._socket_
            try:
                accepted.setblocking(False)
                stream = self._socket_class.__new__(self._socket_class)
                if stream is None or stream._reactor_ is not None:
                    raise TypeError(f"{self._socket_class.__name__}.__new__() did not make a new Stream")
                event = client_connected(stream)
                if self._socket_ is not sock:
                    accepted.close()  # making it has run code that closed the server
                    return
            except BaseException:
                accepted.close()
                raise
            stream._accept_(reactor, accepted, peer, self._connections_)
            if self._admission is not None and not self._admit_(stream):
                return
        stream._serving_ = True
        try:
            self._deliver_(event, entries)
        finally:
            del event
            stream._served_()
            slot = stream._slot_
            if slot is not None:
                if not stream._listeners_:
                    stream._quiet_ = True
                    slot.owner = None
                del stream  # without listeners and other references, its finalizer closes it here
                kept: Any = slot.source
                if kept is not None:
                    kept._quiet_ = False
                    kept._settle_()
                    if wire is not None:
                        kept._after_connect_(wire)

    def _admit_(self, stream: Stream) -> bool:
        """Gives a client its filter; returns False if that holds `connect` back, or has ended the connection."""
        assert self._admission is not None
        try:
            filter = self._admission(stream)
            if filter is not None and stream._socket_ is not None:
                stream._install(filter)
        except BaseException as error:
            stream._reset_()
            self._refused_ += 1
            stream._discard_()
            if leaves(error):
                raise
            report_error(error, self)
            return False
        if not self._listening_ or stream._socket_ is None:
            stream._discard_()  # the program has closed it, or the server
            return False
        wire = stream._wire_
        if wire is None or not wire.held:
            return True
        wire.server = self
        self._held_[id(stream)] = stream
        stream._settle_()
        return False

    def _let_in_(self, stream: Stream) -> None:
        """Has `connect` follow, in the last step of the turn."""
        self._entering_.append(stream)
        if not self._attending_ and self._reactor_ is not None:
            self._attending_ = True
            self._reactor_._postpone_(self._attend_)

    def _forget_held_(self, stream: Stream, wire: Wire) -> None:
        """Forgets a client that ended while its `connect` was held back."""
        wire.server = None
        self._held_.pop(id(stream), None)
        if stream in self._entering_:
            self._entering_.remove(stream)
        self._tell_dropped_(wire)

    def _tell_dropped_(self, wire: Wire) -> None:
        try:
            wire.filter.dropped(wire.reason)
        except BaseException as error:
            if leaves(error):
                raise
            report_error(error, self)

    def _attend_(self) -> None:
        self._attending_ = False
        while self._entering_ and self._reactor_ is not None:
            stream = self._entering_[0]
            self._held_.pop(id(stream), None)
            if stream._wire_ is not None:
                stream._wire_.server = None
                stream._wire_.held = False
            entries = self._listeners_.get(CONNECT)
            if not entries or stream._failure_:
                self._entering_.pop(0)
                wire = stream._wire_
                stream._reset_()
                self._refused_ += 1
                stream._discard_()  # no listener is left, or the filter has raised
                if wire is not None:
                    wire.reason = wire.error
                    self._tell_dropped_(wire)
                continue
            del stream
            self._accepted_(self._reactor_, None, (), entries)

    def _accept_goes_on_(self, sock: socket.socket, code: int) -> bool:
        """Acts on a failed accept; returns True if the next one may be tried in this turn."""
        action = action_for(code)
        if action is Action.RETRY:
            return True
        if action is Action.DONE or (action is Action.GONE and self._gone_(sock)):
            return False
        self._accept_failed(code, action is not Action.SHED or not self._shed_(sock))
        return False

    def _shed_(self, sock: socket.socket) -> bool:
        """Tells waiting clients that no descriptor is left: accepts with the spare one and closes.

        Returns True if that works. Where it does not, because another process was quicker to take the descriptor or the
        system has none at all, only time helps.
        """
        reactor = self._owner_()
        for _ in range(ACCEPTS_PER_TURN):
            reactor._close_spare_()
            try:
                sock.accept()[0].close()
                self._refused_ += 1
            except OSError as error:
                return action_for(error.errno or errno.EIO) is Action.DONE
            finally:
                reactor._open_spare_()
        return True

    def _gone_(self, sock: socket.socket) -> bool:
        """Returns True if the listening socket was shut down from outside; then it is closed and says so, once."""
        try:
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return False
        except OSError:
            pass
        self._discard_()
        entries = self._listeners_.get(CLOSE)
        if entries:
            self._deliver_(Event(CLOSE), entries)
        return True

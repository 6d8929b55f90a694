"""What owns a descriptor, and the listening socket.

Two laws hold for every source. A descriptor has one owner and is closed once, by `Source._shut_`. After every call of a
listener, look again: it may have closed, aborted, connected anew or dropped anything.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from .. import errors
from ..accepting import Action, action_for
from ..inheriting import prepare
from ..limits import as_limit
from ..unpatched import get_ident
from .events import CLOSE, CONNECT, Event, EventDispatcher, ServerSocketConnectEvent
from .reactor import READ, WRITE, Reactor, Slot

if TYPE_CHECKING:
    from typing import Self, SupportsIndex

    from .events import _Registrations
    from .streams import Stream

ACCEPTS_PER_TURN = 64  # of one acceptor, so that a flood of clients cannot starve the others

SocketAddress = tuple[Any, ...]


def host_of(address: SocketAddress | None) -> str | None:
    if not address:
        return None
    host: str = address[0]
    scope: int = address[3] if len(address) > 3 else 0
    if scope and host[:3] in ("fe8", "fe9", "fea", "feb"):
        try:
            return f"{host}%{socket.if_indextoname(scope)}"
        except OSError:
            return f"{host}%{scope}"
    return host


def port_of(address: SocketAddress | None) -> int:
    return int(address[1]) if address else 0


class Tally:
    """How many connections of one server are open."""

    __slots__ = ("open",)

    def __init__(self) -> None:
        self.open = 0


class Source(EventDispatcher):
    """Owns one descriptor of a reactor."""

    _reactor_: Reactor | None = None
    _tally_: Tally | None = None  # where this connection is counted while it is open
    _counted_ = 0  # bytes that it keeps for the program, as the reactor has been told
    _socket_: socket.socket | None = None
    _slot_: Slot | None = None
    _quiet_ = False  # collected by design: no ResourceWarning

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        try:
            if self._socket_ is not None and not self._quiet_:
                fd = self._socket_.fileno()
                warn(f"a socket was collected while it was open: descriptor {fd}", ResourceWarning, source=self)
        finally:
            if self._socket_ is not None:
                self._abandon_()
            if self._counted_ and self._reactor_ is not None:
                self._reactor_._kept_ -= self._counted_

    @property
    def reactor(self) -> Any:
        """The `Reactor` that this object belongs to."""
        return self._reactor_

    def _attach(self, reactor: Reactor) -> None:
        if not isinstance(reactor, Reactor):
            raise errors.wrong_type("reactor", reactor, "a Reactor")
        reactor._open_selector_()
        if self._reactor_ is not None:
            raise RuntimeError(f"{type(self).__name__}.__init__() was called twice")
        self._reactor_ = reactor

    def _check_thread(self) -> None:
        self._check_()

    def _check_(self) -> None:
        reactor = self._reactor_
        if reactor is None or get_ident() != reactor._thread_:
            self._owner_()

    def _owner_(self) -> Reactor:
        """The reactor, from the thread that owns it."""
        if self._reactor_ is None:
            raise RuntimeError(f"{type(self).__name__}.__init__() was not called")
        self._reactor_._check_()
        return self._reactor_

    def _reactor_is_dead_(self) -> bool:
        """Whether this is a forked child's copy: closing it is no error, nothing else is possible."""
        return self._reactor_ is not None and self._reactor_._dead_

    def _own_(self, reactor: Reactor, sock: socket.socket) -> Slot:
        """Takes a descriptor over; if that fails it is closed."""
        try:
            if self._socket_ is not None:
                raise RuntimeError("there is a descriptor already")
            self._slot_ = reactor._enroll_(self, sock.fileno())
        except BaseException:
            sock.close()
            raise
        self._socket_ = sock
        return self._slot_

    def _let_go_(self) -> socket.socket | None:
        """Gives the descriptor up, out of the selector first."""
        sock, slot = self._socket_, self._slot_
        self._socket_ = self._slot_ = None
        if slot is not None and self._reactor_ is not None and not self._reactor_._withdraw_(slot) and sock is not None:
            sock.detach()
        return sock

    def _shut_(self) -> None:
        """Closes the descriptor."""
        sock = self._let_go_()
        if sock is not None:
            _close(sock)
        self._uncount_()

    def _abandon_(self) -> None:
        """It is open, and nobody can reach it any more."""
        self._shut_()

    def _uncount_(self) -> None:
        tally, self._tally_ = self._tally_, None
        if tally is not None:
            tally.open -= 1

    def _discard_(self) -> None:
        """Closes without events: the reactor is closed, or forked."""
        self._shut_()

    def _lost_(self) -> None:
        """Somebody closed the descriptor, and the system has given its number out again."""
        sock = self._let_go_()
        if sock is not None:
            sock.detach()
        self._uncount_()
        self._discard_()

    def _overrun_(self) -> None:
        """It keeps more than all others, and there is no room for more."""

    def _idle_too_long_(self, now: float) -> bool:
        """Breaks the connection if it was idle for too long; whether it has a limit and is still open."""
        return False

    def _ready_(self, events: int) -> None:
        """The descriptor is ready."""

    def _settle_(self) -> None:
        """Registers what follows from the state."""

    def fileno(self) -> int:
        """The descriptor.

        Raises:
            IOError: There is none: the socket is not open (#2002).
        """
        self._check_()
        if self._socket_ is None:
            raise errors.not_open("fileno")
        return self._socket_.fileno()


def _close(sock: socket.socket) -> None:
    with suppress(OSError):  # somebody else closed this number, or the connection is reset: it is gone in any case
        sock.close()


class Acceptor(Source):
    """A listening socket. The public class is `serversocket.ServerSocket`."""

    _socket_class: type[Stream]
    _address_: SocketAddress | None = None
    _listening_ = False
    _paused_ = False
    _most_ = 0  # connections that may be open at once; 0: any number
    _refused_ = 0  # clients that were closed at once
    _connections_: Tally

    if TYPE_CHECKING:

        def _accept_failed(self, code: int, lasting: bool) -> None: ...

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._connections_ = Tally()
        return self

    @property
    def bound(self) -> bool:
        """Whether the socket is bound to a local address and port (AIR: ``bound``)."""
        return self._socket_ is not None

    @property
    def listening(self) -> bool:
        """Whether the socket listens for connections (AIR: ``listening``)."""
        return self._listening_

    @property
    def local_address(self) -> str | None:
        """The IP address that the socket is bound to, or ``None`` (AIR: ``localAddress``)."""
        return host_of(self._address_)

    @property
    def local_port(self) -> int:
        """The port that the socket is bound to, or 0 (AIR: ``localPort``)."""
        return port_of(self._address_)

    @property
    def connections(self) -> int:
        """How many connections that this server has accepted are open, those that still send their last included."""
        return self._connections_.open

    @property
    def max_connections(self) -> int | None:
        """How many connections may be open at once; ``None``, at first, for any number.

        Clients beyond it are accepted and closed at once, so that they know; `turned_away` counts them.

        Raises:
            TypeError: The value is neither an integer nor ``None``.
            RangeError: It is not positive (#2006).
        """
        return self._most_ or None

    @max_connections.setter
    def max_connections(self, value: SupportsIndex | None) -> None:
        self._check_()
        self._most_ = 0 if value is None else as_limit(value, "max_connections")

    @property
    def turned_away(self) -> int:
        """How many clients were accepted and closed at once: beyond `max_connections`, or no descriptor was left."""
        return self._refused_

    def _bind(self, family: int, host: str, port: int, scope_id: int, v6_only: bool, reuse_port: bool) -> None:
        reactor = self._owner_()
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if reuse_port:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, True)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6_only)
                _bind_apart(sock, (host, port, 0, scope_id))
            else:
                _bind_apart(sock, (host, port))
            address = sock.getsockname()
        except BaseException:
            sock.close()
            raise
        self._own_(reactor, sock)
        self._address_ = address
        self._settle_()

    def _inherit(self, fd: int) -> None:
        """Takes over a bound or listening descriptor; one that is refused stays the caller's, as it was."""
        reactor = self._owner_()
        reactor._open_selector_()
        if self._socket_ is not None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        listening = prepare(fd)
        sock = socket.socket(fileno=fd)
        self._own_(reactor, sock)
        try:
            self._address_ = sock.getsockname()
            if listening:
                reactor._open_spare_()
            self._listening_ = listening
            self._settle_()
        except BaseException:
            self._discard_()
            raise

    def _listen(self, backlog: int, defer_accept: int) -> None:
        reactor, sock = self._owner_(), self._socket_
        if sock is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        _defer_accept(sock, defer_accept)
        _reuse_address(sock, True)
        try:
            sock.listen(backlog)
        except BaseException:
            if not self._listening_:
                _reuse_address(sock, False)
                _defer_accept(sock, 0)
            raise
        reactor._open_spare_()
        self._listening_ = True
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
        self._discard_()

    def _pause(self) -> None:
        self._paused_ = True
        self._settle_()

    def _resume(self) -> None:
        self._paused_ = False
        self._settle_()

    def _discard_(self) -> None:
        self._listening_ = self._paused_ = False
        self._address_ = None
        self._shut_()

    def _listening_changed(self, type: str, present: bool) -> None:
        try:
            self._settle_()
        except OSError as error:
            self._listeners_.pop(type, None)  # it was the first listener of its type, or the last
            raise errors.invalid_socket("epoll_ctl", "", error) from None

    def _settle_(self) -> None:
        """Registers what follows from the state: nobody accepts before somebody listens to `connect`."""
        slot = self._slot_
        if slot is None or self._reactor_ is None:
            return
        slot.owner = self if self._listeners_ else None
        if self._listening_:
            # A listening socket never becomes writable as long as it listens: this waits for its end alone.
            self._reactor_._watch_(slot, READ if not self._paused_ and CONNECT in self._listeners_ else WRITE)

    def _ready_(self, events: int) -> None:
        reactor, sock = self._reactor_, self._socket_
        if reactor is None or sock is None or self._slot_ is None:
            return
        if events & WRITE:
            if not self._gone_(sock):
                reactor._watch_(self._slot_, 0)  # a system that sees this differently is not to spin
            return
        code = failures = 0
        for _ in range(ACCEPTS_PER_TURN):
            entries = self._listeners_.get(CONNECT)
            if self._socket_ is not sock or self._paused_ or not entries:
                self._settle_()  # reported although nobody wants it: a change of the registration has failed
                return
            try:
                accepted, peer = sock.accept()
            except OSError as error:
                code = error.errno or errno.EIO
                if not self._accept_goes_on_(sock, code):
                    return
                failures += 1
                continue
            if self._most_ and self._connections_.open >= self._most_:
                accepted.close()
                self._refused_ += 1
                continue
            self._accepted_(reactor, accepted, peer, entries)
        if failures == ACCEPTS_PER_TURN:
            self._accept_failed(code, True)  # what ought to concern one client concerns all of them

    def _accepted_(
        self, reactor: Reactor, accepted: socket.socket, peer: SocketAddress, entries: _Registrations
    ) -> None:
        sock = self._socket_
        try:
            accepted.setblocking(False)
            stream = self._socket_class.__new__(self._socket_class)
            if stream is None or stream._reactor_ is not None:
                raise TypeError(f"{self._socket_class.__name__}.__new__() did not make a new Stream")
            event = ServerSocketConnectEvent(CONNECT, False, False, stream)
            if self._socket_ is not sock:
                accepted.close()  # making it has run something that closed the server
                return
        except BaseException:
            accepted.close()
            raise
        stream._accept_(reactor, accepted, peer, self._connections_)
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
                del stream  # of one that nobody listens to or holds, the last reference: its finalizer closes it
                kept = slot.source
                if kept is not None:
                    kept._quiet_ = False
                    kept._settle_()

    def _accept_goes_on_(self, sock: socket.socket, code: int) -> bool:
        """Acts on a failed accept; whether the next one may be tried in this turn."""
        action = action_for(code)
        if action is Action.RETRY:
            return True
        if action is Action.DONE or (action is Action.GONE and self._gone_(sock)):
            return False
        self._accept_failed(code, action is not Action.SHED or not self._shed_(sock))
        return False

    def _shed_(self, sock: socket.socket) -> bool:
        """Tells waiting clients that no descriptor is left: accepts with the spare one and closes.

        Returns whether that works. Where it does not, because another process was quicker to take the descriptor or the
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
        """Whether the listening socket was shut down from outside; then it is closed and says so, once."""
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


def _defer_accept(sock: socket.socket, seconds: int) -> None:
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, seconds)


def _reuse_address(sock: socket.socket, on: bool) -> None:
    if sys.platform != "win32":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, on)


def _bind_apart(sock: socket.socket, address: SocketAddress) -> None:
    """Binds, to a port in TIME_WAIT too.

    SO_REUSEADDR lets a port be bound that is only in TIME_WAIT, but also lets two sockets bind the same port as long as
    neither listens. So it is on only for the second try, and again while listening, where it is inherited by the
    connections that a later restart must not stumble over. Windows has TIME_WAIT out of the way, and means something
    else by the option: there, a port is asked for exclusively.
    """
    if sys.platform == "win32":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        sock.bind(address)
        return
    try:
        sock.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        _reuse_address(sock, True)
        try:
            sock.bind(address)
        finally:
            _reuse_address(sock, False)

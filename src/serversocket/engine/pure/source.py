"""The owner of one descriptor.

Two rules hold for every source. A descriptor has one owner and is closed once, by `Source._shut_`. After every call of
a listener, check the state again: it may have closed, aborted, reconnected or dropped anything.
"""

from __future__ import annotations

import socket
import struct
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from ... import errors
from ..unpatched import get_ident
from .dispatcher import EventDispatcher
from .poller import Slot
from .reactor import Reactor

# The states of one direction of a connection. ENDING: the pending output is the last; ENDED: nothing more comes.
OPEN, ENDING, ENDED = range(3)

MSG_NOSIGNAL: int = getattr(socket, "MSG_NOSIGNAL", 0)

_LINGER = "HH" if sys.platform == "win32" else "ii"  # on, and for how many seconds


class Follower(Protocol):
    """An object that waits for the events of a source."""

    def closed_here(self) -> None: ...


class Tally:
    """How many connections of one server are open."""

    __slots__ = ("open",)

    def __init__(self) -> None:
        self.open = 0


class Source(EventDispatcher):
    """Owns one descriptor of a reactor."""

    _reactor_: Reactor | None = None
    _tally_: Tally | None = None  # counts this connection while it is open
    _followers_: list[Follower] | None = None  # told when it is closed at this end
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
        reactor._check_open_()
        if self._reactor_ is not None:
            raise RuntimeError(f"{type(self).__name__}.__init__() was called twice")
        self._reactor_ = reactor

    def _check_thread(self) -> None:
        self._check_()

    def _follow(self, follower: Follower) -> None:
        """Calls `follower.closed_here()` when this is closed at this end. That must not run code of the program."""
        if self._followers_ is None:
            self._followers_ = []
        self._followers_.append(follower)

    def _unfollow(self, follower: Follower) -> None:
        if self._followers_ is not None and follower in self._followers_:
            self._followers_.remove(follower)

    def _close_here_(self) -> None:
        """Closes without events, and tells the coroutines that wait for events."""
        self._discard_()
        for follower in list(self._followers_ or ()):
            follower.closed_here()

    def _check_(self) -> None:
        reactor = self._reactor_
        if reactor is None or get_ident() != reactor._thread_:
            self._owner_()

    def _owner_(self) -> Reactor:
        """Returns the reactor; refuses calls from a thread that does not own it."""
        if self._reactor_ is None:
            raise RuntimeError(f"{type(self).__name__}.__init__() was not called")
        self._reactor_._check_()
        return self._reactor_

    def _reactor_is_dead_(self) -> bool:
        """Returns True if this is a forked child's copy: it can be closed, and nothing else."""
        return self._reactor_ is not None and self._reactor_._dead_

    def _own_(self, reactor: Reactor, sock: socket.socket) -> Slot:
        """Takes a descriptor over; if this raises, the caller still owns it."""
        if self._socket_ is not None:
            raise RuntimeError("there is a descriptor already")
        slot = self._slot_ = reactor._poller_.enroll(self, sock.fileno())
        self._socket_ = sock
        return slot

    def _own_or_close_(self, reactor: Reactor, sock: socket.socket) -> Slot:
        """As `_own_`, but closes the descriptor if this raises."""
        try:
            return self._own_(reactor, sock)
        except BaseException:
            sock.close()
            raise

    def _let_go_(self) -> socket.socket | None:
        """Takes the descriptor out of the selector and gives it up."""
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
        """Called when it is collected while it is open."""
        self._shut_()

    def _uncount_(self) -> None:
        tally, self._tally_ = self._tally_, None
        if tally is not None:
            tally.open -= 1

    def _discard_(self) -> None:
        """Closes without events: the reactor is closed, or forked."""
        self._shut_()

    def _lost_(self) -> None:
        """Called when other code has closed the descriptor, and the system has reused its number."""
        sock = self._let_go_()
        if sock is not None:
            sock.detach()
        self._uncount_()
        self._close_here_()

    def _idle_too_long_(self, now: float) -> bool:
        """Breaks the connection if it was idle for too long; returns True if it has a limit and is still open."""
        return False

    def _ready_(self, events: int) -> None:
        """Called when the descriptor is ready."""

    def _settle_(self) -> None:
        """Registers what follows from the state."""

    def fileno(self) -> int:
        """Returns the descriptor.

        Raises:
            IOError: The socket is not open (#2002).
        """
        self._check_()
        if self._socket_ is None:
            raise errors.not_open("fileno")
        return self._socket_.fileno()


def _close(sock: socket.socket) -> None:
    with suppress(OSError):  # other code has closed this number, or the connection is reset: it is closed in any case
        sock.close()


def set_linger(sock: socket.socket, on: bool) -> None:
    """Has the close of a descriptor reset its connection, or not."""
    with suppress(OSError):  # it is reset already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack(_LINGER, on, 0))

"""The base of the hosts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from ..loop import hosting
from ..loop.reactor import current_reactor

if TYPE_CHECKING:
    from .. import Reactor

__all__ = ["Hosting"]


class Hosting(ABC):
    """A reactor whose events another loop delivers; returned by the ``attach`` of each host.

    It lasts until it is closed, the reactor is closed, or the host ends. Meanwhile `Reactor.run` is refused. The
    program need not keep a reference to it. As a context manager it is closed at the end of the block.

    Example:
        >>> from serversocket.hosts.tk import attach  # doctest: +SKIP
        >>> with attach(window):  # doctest: +SKIP
        ...     window.mainloop()
    """

    name = "another loop"
    """The name of the host in error messages."""

    delivers = True
    """True if the host delivers events by itself, so that `serversocket.run` is not needed."""

    def __init__(self, reactor: Reactor | None) -> None:
        self._reactor = cast("Any", current_reactor() if reactor is None else reactor)
        self._polling = False
        self._put_off = False
        hosting.join(self._reactor, self)

    @property
    def reactor(self) -> Reactor:
        """The reactor whose events are delivered."""
        reactor: Reactor = self._reactor
        return reactor

    @property
    def closed(self) -> bool:
        """True if the host no longer delivers the reactor's events."""
        return bool(self._reactor._host is not self)

    def close(self) -> None:
        """Ends the delivery; the reactor and all its objects stay open. A second call does nothing.

        Raises:
            RuntimeError: Another thread owns the reactor.
        """
        hosting.leave(self._reactor, self)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}{' closed' if self.closed else ''}>"

    @abstractmethod
    def watch(self, reactor: Reactor) -> None:
        """Starts watching the reactor's descriptor: `deliver` is called while it is readable.

        Args:
            reactor: The reactor.
        """

    @abstractmethod
    def unwatch(self, reactor: Reactor) -> None:
        """Stops watching it. A second call does nothing.

        Args:
            reactor: The reactor.
        """

    def deliver(self) -> int:
        """Makes the reactor deliver the ready events, once, and returns how many it handled.

        A listener may run the host's loop, as a modal dialog does. The reactor's turn is not over then, so no other
        event can be delivered: the descriptor stays readable, and is not watched until the turn is over.
        """
        if self.closed:  # in a forked child
            self.unwatch(self._reactor)
            return 0
        if self._polling:
            self.unwatch(self._reactor)
            self._put_off = True
            return 0
        self._polling = True
        try:
            handled: int = self._reactor.poll(0)
            return handled
        finally:
            self._polling = False
            if self._put_off:
                self._put_off = False
                if not self.closed:
                    self.watch(self._reactor)

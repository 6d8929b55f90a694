"""What the hosts have in common."""

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
    """A reactor whose events another loop delivers: what the ``attach`` of each host returns.

    It lasts until it is closed, the reactor is closed, or the host ends. Meanwhile `Reactor.run` is refused. It needs
    not be kept. As a context manager it is closed in the end.

    Example:
        >>> from serversocket.hosts.tk import attach  # doctest: +SKIP
        >>> with attach(window):  # doctest: +SKIP
        ...     window.mainloop()
    """

    name = "another loop"
    """What the host is called in the texts of errors."""

    delivers = True
    """True where the host delivers by itself, so that `serversocket.run` has nothing to do."""

    def __init__(self, reactor: Reactor | None) -> None:
        self._reactor = cast("Any", current_reactor() if reactor is None else reactor)
        self._polling = False
        self._put_off = False
        hosting.join(self._reactor, self)

    @property
    def reactor(self) -> Reactor:
        """Whose events are delivered."""
        reactor: Reactor = self._reactor
        return reactor

    @property
    def closed(self) -> bool:
        """True if the host delivers no more."""
        return bool(self._reactor._host is not self)

    def close(self) -> None:
        """The host delivers no more; the reactor and all that belongs to it stay open. A second call does nothing.

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
        """Begins to watch the reactor's descriptor: `deliver` is called while it is readable.

        Args:
            reactor: The reactor.
        """

    @abstractmethod
    def unwatch(self, reactor: Reactor) -> None:
        """Ends that. A second call does nothing.

        Args:
            reactor: The reactor.
        """

    def deliver(self) -> int:
        """Has the reactor deliver what is ready, once, and returns how many things it handled.

        A listener may run the host's loop, as a dialog does that waits for its answer. The reactor's turn is not over
        then, and nothing else can be delivered: the descriptor stays readable, and is not watched until it is over.
        """
        if self.closed:  # a forked child's
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

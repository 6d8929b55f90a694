"""gevent: the events of servers and sockets come in greenlets, beside those of the program."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent

from .shared import Hosting

if TYPE_CHECKING:
    from .. import Reactor

__all__ = ["attach"]

_READABLE = 1


def attach(reactor: Reactor | None = None) -> Hosting:
    """Has the hub of this thread deliver a reactor's events while the program's greenlets wait.

    `serversocket.run` waits without gevent's knowledge, and is refused where gevent has patched the program. Each turn
    of the reactor runs in a greenlet, so a listener may wait as gevent's functions do; nothing else is
    delivered meanwhile. The hub has something to wait for until this is closed, or the reactor is.

    Args:
        reactor: The reactor; ``None`` is that of the calling thread.

    Returns:
        What can be closed to end it.

    Raises:
        RuntimeError: The reactor is closed, runs, is hosted already, or belongs to another thread.
        IOError: The reactor has no descriptor (#2002).

    Example:
        >>> attach()  # doctest: +SKIP
        >>> gevent.wait()  # doctest: +SKIP
    """
    return GeventHosting(reactor)


class GeventHosting(Hosting):
    """A reactor in gevent's hub."""

    name = "gevent"

    def __init__(self, reactor: Reactor | None) -> None:
        self._loop: Any = gevent.get_hub().loop
        self._watcher: Any = None
        super().__init__(reactor)

    def watch(self, reactor: Reactor) -> None:
        """Starts a watcher in the hub."""
        self._watcher = self._loop.io(reactor.fileno(), _READABLE)
        self._watcher.start(self._ready)

    def unwatch(self, reactor: Reactor) -> None:
        """Stops it for good."""
        if self._watcher is not None:
            watcher, self._watcher = self._watcher, None
            watcher.stop()
            watcher.close()

    def _ready(self) -> None:
        # The hub itself must not wait, and a listener may want to.
        self._watcher.stop()
        gevent.spawn(self._turn)

    def _turn(self) -> None:
        try:
            self.deliver()
        finally:
            if self._watcher is not None:
                self._watcher.start(self._ready)

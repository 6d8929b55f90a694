"""gevent: greenlets deliver the events of servers and sockets, while the program's own greenlets wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent

from .shared import Hosting

if TYPE_CHECKING:
    from .. import Reactor

__all__ = ["attach"]

_READABLE = 1


def attach(reactor: Reactor | None = None) -> Hosting:
    """Makes the hub of this thread deliver a reactor's events while the program's greenlets wait.

    `serversocket.run` would block all greenlets, so it is refused if gevent has patched the program. Each turn of the
    reactor runs in a greenlet, so a listener may call gevent's waiting functions; no other event is delivered
    meanwhile. The hub keeps waiting for events until the returned object or the reactor is closed.

    Args:
        reactor: The reactor; ``None`` is that of the calling thread.

    Returns:
        An object whose `Hosting.close` ends the delivery.

    Raises:
        RuntimeError: The reactor is closed, running, already hosted, or belongs to another thread.
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
        """Stops and closes the watcher."""
        if self._watcher is not None:
            watcher, self._watcher = self._watcher, None
            watcher.stop()
            watcher.close()

    def _ready(self) -> None:
        # In a greenlet, because a listener may wait, and the hub itself must not.
        self._watcher.stop()
        gevent.spawn(self._turn)

    def _turn(self) -> None:
        try:
            self.deliver()
        finally:
            if self._watcher is not None:
                self._watcher.start(self._ready)

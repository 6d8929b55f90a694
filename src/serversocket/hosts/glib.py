"""GLib and GTK, as PyGObject brings them: the events of servers and sockets come in the main loop."""

from __future__ import annotations

from typing import Any

from gi.repository import GLib

from ..reactor import Reactor
from .shared import Hosting

__all__ = ["attach"]

# How soon the reactor has its turn where sources of higher priority always have work. Milliseconds.
LONGEST_WAIT = 20


def attach(context: Any = None, reactor: Reactor | None = None) -> Hosting:
    """Has a GLib main loop deliver a reactor's events: no `serversocket.run` is needed beside ``loop.run()``.

    GLib does not tell when a loop is of no more use: it ends when it is closed, or the reactor.

    Args:
        context: The ``GLib.MainContext``; ``None`` is the default one, which GTK uses.
        reactor: The reactor; ``None`` is that of the calling thread.

    Returns:
        What can be closed to end it.

    Raises:
        RuntimeError: The reactor is closed, runs, is hosted already, or belongs to another thread.
        IOError: The reactor has no descriptor (#2002).

    Example:
        >>> attach()  # doctest: +SKIP
        >>> GLib.MainLoop().run()  # doctest: +SKIP
    """
    return GLibHosting(context, reactor)


class GLibHosting(Hosting):
    """A reactor in a GLib main loop.

    GLib serves the ready sources of the highest priority alone. At the default priority a busy reactor would keep a
    window from being drawn; at a low one it would wait for ever where others are always busy. So it has its turn at
    the default priority once in a while, and at the lowest usual one as often as nobody else has anything to do.
    """

    name = "GLib"

    def __init__(self, context: Any, reactor: Reactor | None) -> None:
        self._context = context
        self._source: Any = None
        self._promotion: Any = None
        super().__init__(reactor)

    def watch(self, reactor: Reactor) -> None:
        """Attaches a source to the context."""
        self._source = _Descriptor(reactor.fileno(), self)
        self._source.attach(self._context)

    def unwatch(self, reactor: Reactor) -> None:
        """Destroys it."""
        for source in (self._source, self._promotion):
            if source is not None:
                source.destroy()
        self._source = self._promotion = None

    def ready(self) -> None:
        """Delivers, and steps back for a while."""
        if self._promotion is None and self._source is not None:
            self._source.set_priority(GLib.PRIORITY_DEFAULT_IDLE)
            self._promotion = GLib.Timeout(LONGEST_WAIT)
            self._promotion.set_callback(self._promote)
            self._promotion.attach(self._context)
        self.deliver()

    def _promote(self, *_: object) -> bool:
        self._promotion = None
        if self._source is not None:
            self._source.set_priority(GLib.PRIORITY_DEFAULT)
        return bool(GLib.SOURCE_REMOVE)


class _Descriptor(GLib.Source):  # type: ignore[misc]
    """What GLib asks in each iteration whether the descriptor is readable."""

    def __init__(self, descriptor: int, hosting: GLibHosting) -> None:
        super().__init__()
        self._hosting = hosting
        self._tag = self.add_unix_fd(descriptor, GLib.IOCondition.IN)

    def prepare(self) -> tuple[bool, int]:
        return False, -1

    def check(self) -> bool:
        return bool(self.query_unix_fd(self._tag))

    def dispatch(self, callback: object, arguments: object) -> bool:
        try:
            self._hosting.ready()
        except BaseException:
            # GLib prints it, as it does with all callbacks, but destroys the source.
            if not self._hosting.closed:
                self._hosting.unwatch(self._hosting.reactor)
                self._hosting.watch(self._hosting.reactor)
            raise
        return bool(GLib.SOURCE_CONTINUE)

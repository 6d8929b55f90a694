"""GLib and GTK, by PyGObject: the main loop delivers the events of servers and sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gi.repository import GLib

from .shared import Hosting

if TYPE_CHECKING:
    from .. import Reactor

__all__ = ["attach"]

# The longest time between two turns of the reactor if sources of higher priority are always busy. Milliseconds.
LONGEST_WAIT = 20


def attach(reactor: Reactor | None = None) -> Hosting:
    """Makes GLib's default main context deliver a reactor's events: ``loop.run()`` replaces `serversocket.run`.

    GTK uses that context too. GLib does not report when its loop ends, so the delivery lasts until the returned object
    or the reactor is closed.

    Args:
        reactor: The reactor; ``None`` is that of the calling thread, which should be the one that runs the loop.

    Returns:
        An object whose `Hosting.close` ends the delivery.

    Raises:
        RuntimeError: The reactor is closed, running, already hosted, or belongs to another thread.
        IOError: The reactor has no descriptor (#2002).

    Example:
        >>> attach()  # doctest: +SKIP
        >>> GLib.MainLoop().run()  # doctest: +SKIP
    """
    return GLibHosting(reactor)


class GLibHosting(Hosting):
    """A reactor in a GLib main loop.

    GLib serves only the ready sources of the highest priority. At the default priority, a busy reactor would keep
    windows from being drawn; at a low one, it would starve while other sources are always busy. So it runs at the
    default priority once in a while, and otherwise at the idle priority, when no other source is ready.
    """

    name = "GLib"

    def __init__(self, reactor: Reactor | None) -> None:
        self._source = 0
        self._promotion = 0
        super().__init__(reactor)

    def watch(self, reactor: Reactor) -> None:
        """Adds a source to the default context."""
        self._source = GLib.unix_fd_add_full(GLib.PRIORITY_DEFAULT, reactor.fileno(), GLib.IOCondition.IN, self._ready)

    def unwatch(self, reactor: Reactor) -> None:
        """Removes the source."""
        for source in filter(None, (self._source, self._promotion)):
            GLib.source_remove(source)
        self._source = self._promotion = 0

    def _ready(self, descriptor: int, condition: object) -> bool:
        self._step_back()
        try:
            self.deliver()
        except BaseException:
            # GLib prints the exception, like that of any callback, but also removes the source.
            if not self.closed:
                self.unwatch(self.reactor)
                self.watch(self.reactor)
            raise
        return bool(GLib.SOURCE_CONTINUE)

    def _step_back(self) -> None:
        if not self._promotion:
            self._set_priority(GLib.PRIORITY_DEFAULT_IDLE)
            self._promotion = GLib.timeout_add(LONGEST_WAIT, self._promote)

    def _promote(self) -> bool:
        self._promotion = 0
        self._set_priority(GLib.PRIORITY_DEFAULT)
        return bool(GLib.SOURCE_REMOVE)

    def _set_priority(self, priority: int) -> None:
        GLib.main_context_default().find_source_by_id(self._source).set_priority(priority)

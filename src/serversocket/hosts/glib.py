"""GLib and GTK, as PyGObject brings them: the events of servers and sockets come in the main loop."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gi.repository import GLib

from .shared import Hosting

if TYPE_CHECKING:
    from .. import Reactor

__all__ = ["attach"]

# How soon the reactor has its turn where sources of higher priority always have work. Milliseconds.
LONGEST_WAIT = 20


def attach(reactor: Reactor | None = None) -> Hosting:
    """Has GLib's default main context deliver a reactor's events: no `serversocket.run` beside ``loop.run()``.

    GTK uses that context. GLib does not tell when it is of no more use: it ends when this is closed, or the reactor.

    Args:
        reactor: The reactor; ``None`` is that of the calling thread, which should be the one that runs the loop.

    Returns:
        What can be closed to end it.

    Raises:
        RuntimeError: The reactor is closed, runs, is hosted already, or belongs to another thread.
        IOError: The reactor has no descriptor (#2002).

    Example:
        >>> attach()  # doctest: +SKIP
        >>> GLib.MainLoop().run()  # doctest: +SKIP
    """
    return GLibHosting(reactor)


class GLibHosting(Hosting):
    """A reactor in a GLib main loop.

    GLib serves the ready sources of the highest priority alone. At the default priority a busy reactor would keep a
    window from being drawn; at a low one it would wait for ever where others are always busy. So it has its turn at
    the default priority once in a while, and at the lowest usual one as often as nobody else has anything to do.
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
        """Removes it."""
        for source in filter(None, (self._source, self._promotion)):
            GLib.source_remove(source)
        self._source = self._promotion = 0

    def _ready(self, descriptor: int, condition: object) -> bool:
        self._step_back()
        try:
            self.deliver()
        except BaseException:
            # GLib prints it, as it does with all callbacks, but removes the source.
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

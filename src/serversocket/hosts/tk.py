"""Tk: the events of servers and sockets come while the window's own are handled."""

from __future__ import annotations

import os
import tkinter
import weakref
from _tkinter import DONT_WAIT, IDLE_EVENTS
from contextlib import suppress
from time import monotonic
from typing import TYPE_CHECKING, Any

from .shared import Hosting

if TYPE_CHECKING:
    from .. import Reactor

__all__ = ["attach"]

# Without a descriptor that Tk can watch, it looks so often. Milliseconds; the first after it has found something.
BUSY_PERIOD = 1
QUIET_PERIOD = 10
# The numbers that the system's select() knows, by which Tk waits.
SELECTABLE = 1024
# How long a window may wait to be drawn. Seconds.
LONGEST_UNDRAWN = 0.02


def attach(root: tkinter.Misc, reactor: Reactor | None = None) -> Hosting:
    """Has Tk's loop deliver a reactor's events: no `serversocket.run` is needed beside ``mainloop``.

    It ends when the widget is destroyed. Where Tk cannot watch descriptors, on Windows, it looks every 10
    milliseconds.

    Args:
        root: The window, or any widget of the program.
        reactor: The reactor; ``None`` is that of the calling thread.

    Returns:
        What can be closed to end it earlier.

    Raises:
        RuntimeError: The reactor is closed, runs, is hosted already, or belongs to another thread.
        tkinter.TclError: The widget has been destroyed.

    Example:
        >>> window = tkinter.Tk()  # doctest: +SKIP
        >>> attach(window)  # doctest: +SKIP
        >>> window.mainloop()  # doctest: +SKIP
    """
    return TkHosting(root, reactor)


class TkHosting(Hosting):
    """A reactor in Tk's loop."""

    name = "Tk"

    def __init__(self, root: tkinter.Misc, reactor: Reactor | None) -> None:
        self._root = root
        self._tk: Any = root.tk
        self._watched = -1
        self._timer: str | None = None
        self._drawn = 0.0
        self._tag = ""
        root.bindtags()  # an error where it is destroyed
        super().__init__(reactor)
        # A tag of its own: a binding of the window's would hear of its children too, and programs replace those.
        self._tag = f"serversocket-{id(self)}"
        itself = weakref.ref(self)  # Tk keeps the function, also when it is bound no more

        def destroyed(event: object) -> None:
            hosting = itself()
            if hosting is not None:
                hosting.close()

        root.bindtags((self._tag, *root.bindtags()))
        root.bind_class(self._tag, "<Destroy>", destroyed)

    def watch(self, reactor: Reactor) -> None:
        """Gives Tk a duplicate to watch, which stays what it is when the reactor's own descriptor is replaced.

        Tk ends the process where a descriptor that it forgets is not the one that it knew.
        """
        try:
            number = reactor.fileno()
        except OSError:  # the system's selector has none
            number = -1
        if number >= 0 and hasattr(self._tk, "createfilehandler"):
            number = os.dup(number)
            if number < SELECTABLE:
                self._watched = number
                self._tk.createfilehandler(number, tkinter.READABLE, self._ready)
                return
            os.close(number)
        self._look_later(QUIET_PERIOD)

    def unwatch(self, reactor: Reactor) -> None:
        """Forgets the duplicate."""
        if self._watched >= 0:
            number, self._watched = self._watched, -1
            self._tk.deletefilehandler(number)
            os.close(number)
        if self._timer is not None:
            timer, self._timer = self._timer, None
            self._root.after_cancel(timer)
        if self._tag and self.closed:
            tag, self._tag = self._tag, ""
            with suppress(tkinter.TclError):  # it is being destroyed
                self._root.bindtags(tuple(each for each in self._root.bindtags() if each != tag))
                self._root.unbind_class(tag, "<Destroy>")

    def _ready(self, file: object, mask: int) -> None:
        try:
            self.deliver()
        finally:
            self._draw()

    def _draw(self) -> None:
        """Lets Tk draw: it does so only when there is nothing else to do, and with many clients there always is."""
        now = monotonic()
        if now - self._drawn > LONGEST_UNDRAWN and not self.closed:
            self._tk.dooneevent(IDLE_EVENTS | DONT_WAIT)
            self._drawn = monotonic()

    def _look_later(self, milliseconds: int) -> None:
        self._timer = self._root.after(milliseconds, self._look)

    def _look(self) -> None:
        self._timer = None
        handled = 0
        try:
            handled = self.deliver()
        finally:
            if not self.closed and self._timer is None and not self._put_off:
                self._look_later(BUSY_PERIOD if handled else QUIET_PERIOD)

"""Tk: its event loop delivers the events of servers and sockets, along with those of the window."""

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

# How often the reactor is polled if Tk cannot watch its descriptor: after a poll with and without events. Milliseconds.
BUSY_PERIOD = 1
QUIET_PERIOD = 10
# The first descriptor that select(), which Tk uses, cannot watch.
SELECTABLE = 1024
# How long a window may wait to be redrawn. Seconds.
LONGEST_UNDRAWN = 0.02


def attach(root: tkinter.Misc, reactor: Reactor | None = None) -> Hosting:
    """Makes Tk's loop deliver a reactor's events: ``mainloop`` replaces `serversocket.run`.

    The delivery ends when the widget is destroyed. If Tk cannot watch descriptors, as on Windows, it polls every 10
    milliseconds.

    Args:
        root: The window, or any widget of the program.
        reactor: The reactor; ``None`` is that of the calling thread.

    Returns:
        An object whose `Hosting.close` ends the delivery earlier.

    Raises:
        RuntimeError: The reactor is closed, running, already hosted, or belongs to another thread.
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
        root.bindtags()  # raises if the widget is destroyed
        super().__init__(reactor)
        # A separate bind tag: a binding of the window would get its children's events too, and programs replace it.
        self._tag = f"serversocket-{id(self)}"
        itself = weakref.ref(self)  # Tk keeps the function even after it is unbound

        def destroyed(event: object) -> None:
            hosting = itself()
            if hosting is not None:
                hosting.close()

        root.bindtags((self._tag, *root.bindtags()))
        root.bind_class(self._tag, "<Destroy>", destroyed)

    def watch(self, reactor: Reactor) -> None:
        """Makes Tk watch a duplicate, which stays valid when the reactor's own descriptor is replaced.

        Tk aborts the process if a descriptor that it stops watching is not the same file any more.
        """
        try:
            number = reactor.fileno()
        except OSError:  # the system's selector has no descriptor
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
        """Stops watching the duplicate, and closes it."""
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
        """Lets Tk redraw: it does so only when it is idle, which it never is with many clients."""
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

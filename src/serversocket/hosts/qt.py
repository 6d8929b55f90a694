"""Qt, by PySide6: its event loop delivers the events of servers and sockets, along with those of the windows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject, QSocketNotifier, QThread

from .shared import Hosting

if TYPE_CHECKING:
    from .. import Reactor

__all__ = ["attach"]


def attach(parent: QObject | None = None, reactor: Reactor | None = None) -> Hosting:
    """Makes Qt's loop deliver a reactor's events: ``app.exec()`` replaces `serversocket.run`.

    The delivery ends when `parent` is destroyed or the application quits, that is when ``app.exec()`` returns.

    Args:
        parent: The object whose destruction ends the delivery; ``None`` is the application.
        reactor: The reactor; ``None`` is that of the calling thread.

    Returns:
        An object whose `Hosting.close` ends the delivery earlier.

    Raises:
        RuntimeError: There is no application yet, `parent` belongs to another thread, or the reactor is closed,
            running, already hosted, or belongs to another thread.
        IOError: The reactor has no descriptor (#2002).

    Example:
        >>> app = QApplication()  # doctest: +SKIP
        >>> attach()  # doctest: +SKIP
        >>> app.exec()  # doctest: +SKIP
    """
    return QtHosting(parent, reactor)


class QtHosting(Hosting):
    """A reactor in Qt's loop."""

    name = "Qt"

    def __init__(self, parent: QObject | None, reactor: Reactor | None) -> None:
        application = QCoreApplication.instance()
        if application is None:
            raise RuntimeError("Qt has no application yet: create a QApplication first")
        self._parent = application if parent is None else parent
        if self._parent.thread() != QThread.currentThread():
            raise RuntimeError(f"{self._parent!r} belongs to another thread; attach in the thread that runs app.exec()")
        self._notifier: QSocketNotifier | None = None
        super().__init__(reactor)
        self._parent.destroyed.connect(self.close)
        application.aboutToQuit.connect(self.close)

    def watch(self, reactor: Reactor) -> None:
        """Creates a notifier."""
        self._notifier = QSocketNotifier(reactor.fileno(), QSocketNotifier.Type.Read, self._parent)
        self._notifier.activated.connect(self.deliver)

    def unwatch(self, reactor: Reactor) -> None:
        """Deletes the notifier, later, because this may run inside its signal."""
        if self._notifier is not None:
            notifier, self._notifier = self._notifier, None
            notifier.setEnabled(False)
            notifier.deleteLater()

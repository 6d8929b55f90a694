"""Qt, as PySide6 brings it: the events of servers and sockets come while the windows' own are handled."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PySide6.QtCore import QCoreApplication, QObject, QSocketNotifier, QThread

from .shared import Hosting

if TYPE_CHECKING:
    from .. import Reactor

__all__ = ["attach"]


def attach(parent: QObject | None = None, reactor: Reactor | None = None) -> Hosting:
    """Has Qt's loop deliver a reactor's events: no `serversocket.run` is needed beside ``app.exec()``.

    It ends when `parent` is destroyed or the application quits, that is when ``app.exec()`` returns.

    Args:
        parent: With what it ends; ``None`` is the application.
        reactor: The reactor; ``None`` is that of the calling thread.

    Returns:
        What can be closed to end it earlier.

    Raises:
        RuntimeError: There is no application yet, `parent` belongs to another thread, or the reactor is closed, runs,
            is hosted already, or belongs to another thread.
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
            raise RuntimeError("Qt has no application yet: make a QApplication first")
        self._parent = application if parent is None else parent
        if self._parent.thread() != QThread.currentThread():
            raise RuntimeError(f"{self._parent!r} belongs to another thread")
        self._notifier: QSocketNotifier | None = None
        super().__init__(reactor)
        self._parent.destroyed.connect(self.close)
        application.aboutToQuit.connect(self.close)

    def watch(self, reactor: Reactor) -> None:
        """Makes a notifier."""
        self._notifier = QSocketNotifier(reactor.fileno(), QSocketNotifier.Type.Read, self._parent)
        self._notifier.activated.connect(self.deliver)

    def unwatch(self, reactor: Reactor) -> None:
        """Deletes it, later: it may be calling."""
        if self._notifier is not None:
            notifier, self._notifier = self._notifier, None
            notifier.setEnabled(False)
            notifier.deleteLater()

"""The hosts, driven alike: each runs until something holds, has a timer and something for its idle moments."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import Any

import pytest

from serversocket import Reactor
from serversocket.hosts import Hosting

from ..behaviour.helpers import PATIENCE

DEBIAN = "/usr/lib/python3/dist-packages"


class Loop(ABC):
    """One host's loop. `caught` is what its callbacks raised, in whichever way the host shows it."""

    module = ""

    def __init__(self) -> None:
        self.caught: list[BaseException] = []

    def attach(self, reactor: Reactor | None = None) -> Hosting:
        attach = importlib.import_module(f"serversocket.hosts.{self.module}").attach
        hosting: Hosting = attach(*self.place(), reactor=reactor)
        return hosting

    def place(self) -> tuple[Any, ...]:
        """What `attach` is given."""
        return ()

    def until(self, predicate: Callable[[], object]) -> None:
        """Runs the loop until the predicate holds; inside a callback, a loop in the loop."""
        end = time.monotonic() + PATIENCE
        with self.running() as stop:

            def look() -> None:
                if predicate() or time.monotonic() > end:
                    stop()
                else:
                    self.later(2, look)

            look()
        assert predicate()

    @abstractmethod
    def running(self) -> Any:
        """A context whose end runs the loop until what it gives is called."""

    @abstractmethod
    def later(self, milliseconds: int, call: Callable[[], object]) -> None:
        """The host's own timer."""

    @abstractmethod
    def idle(self, call: Callable[[], object]) -> None:
        """The host calls it when it has nothing else to do."""

    def interrupted(self) -> None:
        """Runs until a callback has raised; most hosts have that printed and go on."""
        with printed(self.caught):
            self.until(lambda: self.caught)

    def end(self) -> None:  # noqa: B027 - most leave nothing behind
        """Nothing is left of it."""


class TkLoop(Loop):
    module = "tk"

    def __init__(self) -> None:
        super().__init__()
        self.tkinter = importlib.import_module("tkinter")
        self.root = self.tkinter.Tk()

    def place(self) -> tuple[Any, ...]:
        return (self.root,)

    @contextmanager
    def running(self) -> Iterator[Callable[[], object]]:
        over = self.tkinter.BooleanVar(self.root)
        yield lambda: over.set(True)
        if not over.get():
            self.root.wait_variable(over)

    def later(self, milliseconds: int, call: Callable[[], object]) -> None:
        self.root.after(milliseconds, call)

    def idle(self, call: Callable[[], object]) -> None:
        self.root.after_idle(call)

    def interrupted(self) -> None:
        """Runs until an exception leaves the loop."""
        with pytest.raises(KeyboardInterrupt) as caught:
            self.root.mainloop()
        self.caught.append(caught.value)

    def end(self) -> None:
        with suppress(self.tkinter.TclError):
            self.root.destroy()


class QtLoop(Loop):
    module = "qt"

    def __init__(self) -> None:
        super().__init__()
        self.core = importlib.import_module("PySide6.QtCore")
        self.parent = self.core.QObject()

    def place(self) -> tuple[Any, ...]:
        return (self.parent,)

    @contextmanager
    def running(self) -> Iterator[Callable[[], object]]:
        loop = self.core.QEventLoop()
        over = []

        def stop() -> None:
            over.append(True)
            loop.quit()

        yield stop
        if not over:
            loop.exec()

    def later(self, milliseconds: int, call: Callable[[], object]) -> None:
        self.core.QTimer.singleShot(milliseconds, call)

    def idle(self, call: Callable[[], object]) -> None:
        self.core.QTimer.singleShot(0, call)

    def end(self) -> None:
        self.parent.deleteLater()
        self.core.QCoreApplication.sendPostedEvents(None, self.core.QEvent.Type.DeferredDelete.value)


class GLibLoop(Loop):
    module = "glib"

    def __init__(self) -> None:
        super().__init__()
        self.glib = importlib.import_module("gi.repository.GLib")

    @contextmanager
    def running(self) -> Iterator[Callable[[], object]]:
        loop = self.glib.MainLoop()
        over = []

        def stop() -> None:
            over.append(True)
            loop.quit()

        yield stop
        if not over:
            loop.run()

    def later(self, milliseconds: int, call: Callable[[], object]) -> None:
        self.glib.timeout_add(milliseconds, lambda: call() and False)

    def idle(self, call: Callable[[], object]) -> None:
        self.glib.idle_add(lambda: call() and False)


class GeventLoop(Loop):
    module = "gevent"

    def __init__(self) -> None:
        super().__init__()
        self.gevent = importlib.import_module("gevent")

    @contextmanager
    def running(self) -> Iterator[Callable[[], object]]:
        event = importlib.import_module("gevent.event").Event()
        yield event.set
        event.wait()

    def later(self, milliseconds: int, call: Callable[[], object]) -> None:
        self.gevent.spawn_later(milliseconds / 1000, call)

    def idle(self, call: Callable[[], object]) -> None:
        self.gevent.spawn(call)

    def interrupted(self) -> None:
        """Waits until an exception reaches the main greenlet."""
        with pytest.raises(KeyboardInterrupt) as caught:
            self.gevent.sleep(PATIENCE)
        self.caught.append(caught.value)


LOOPS: dict[str, type[Loop]] = {loop.module: loop for loop in (TkLoop, QtLoop, GLibLoop, GeventLoop)}


@contextmanager
def printed(errors: list[BaseException]) -> Iterator[None]:
    """Takes what would be printed of exceptions."""
    before, sys.excepthook = sys.excepthook, lambda kind, error, traceback: errors.append(error)
    try:
        yield
    finally:
        sys.excepthook = before


def need(name: str) -> ModuleType:
    return pytest.importorskip(name, reason=f"needs {name}", exc_type=ImportError)


@contextmanager
def toolkit(module: str) -> Iterator[None]:
    """The host's library, loaded and used once: what it opens for good is open then."""
    match module:
        case "tk":
            need("_tkinter")
            with display():
                yield from used(TkLoop)
        case "qt":
            os.environ["QT_QPA_PLATFORM"] = "offscreen"
            application = need("PySide6.QtWidgets").QApplication([])
            yield from used(QtLoop)
            application.shutdown()
        case "glib":
            find_gi()
            yield from used(GLibLoop)
        case "gevent":
            need("gevent")
            yield from used(GeventLoop)


def used(loop: type[Loop]) -> Iterator[None]:
    it = loop()
    for wait in (it.later, lambda _, call: it.idle(call)):
        done: list[bool] = []
        wait(1, lambda done=done: done.append(True))  # type: ignore[misc]
        it.until(lambda done=done: done)  # type: ignore[misc]
    it.end()
    yield


def find_gi() -> None:
    """PyGObject where it is installed, or the one that the system's own Python has, if that is as this one."""
    with suppress(ImportError):
        importlib.import_module("gi")
        return
    sys.path.append(DEBIAN)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            need("gi.repository.GLib")
    finally:
        sys.path.remove(DEBIAN)


@contextmanager
def display() -> Iterator[None]:
    """A display that nobody sees."""
    reading, writing = os.pipe()
    try:
        command = [
            "timeout",
            "600",
            "Xvfb",
            "-displayfd",
            str(writing),
            "-screen",
            "0",
            "800x600x24",
            "-nolisten",
            "tcp",
        ]
        server = subprocess.Popen(command, pass_fds=[writing], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    except FileNotFoundError as missing:
        os.close(reading)
        pytest.skip(f"needs {missing.filename}")
    finally:
        os.close(writing)
    with os.fdopen(reading) as answer:
        number = answer.readline().strip()
    before = os.environ.get("DISPLAY")
    try:
        if not number:
            pytest.skip("needs Xvfb")
        os.environ["DISPLAY"] = f":{number}"
        yield
    finally:
        if before is None:
            os.environ.pop("DISPLAY", None)
        else:
            os.environ["DISPLAY"] = before
        server.terminate()
        server.wait(60)

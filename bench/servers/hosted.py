"""serversocket inside each host's own loop, beside a ticker of the host's and, if asked for, tasks that spin.

    hosted.py HOST [SPINNING] accept | echo

At SIGTERM it prints the times at which the ticker came, and ends.
"""

import json
import os
import signal
import sys
from abc import ABC, abstractmethod
from contextlib import suppress
from time import monotonic

from common import role
from serversocket_server import ROLES, start

from serversocket.loop.reactor import current_reactor

DEBIAN = "/usr/lib/python3/dist-packages"
PERIOD = 0.001


class Host(ABC):
    """A loop, what ticks in it and what keeps it busy."""

    def __init__(self, spinning: int) -> None:
        self.spinning = spinning
        self.ticks: list[float] = []

    def serve(self) -> None:
        """Begins to listen, where the host's loop is found or attached, and to tick."""
        start(role(ROLES))
        current_reactor().on_signal(signal.SIGTERM, self.report)
        self.tick()
        for _ in range(self.spinning):
            self.spin()

    def tick(self) -> None:
        self.ticks.append(monotonic())
        self.later(self.tick)

    def report(self) -> None:
        print(json.dumps(self.ticks), flush=True)
        os._exit(0)

    @abstractmethod
    def run(self) -> None:
        """Runs the loop with all of it inside."""

    @abstractmethod
    def later(self, call) -> None:
        """Has the host's own timer call in a millisecond."""

    @abstractmethod
    def spin(self) -> None:
        """Begins a task that always has something to do."""


class Asyncio(Host):
    def run(self) -> None:
        import asyncio

        asyncio.run(self.main())

    async def main(self) -> None:
        import asyncio

        self.loop = asyncio.get_running_loop()
        self.serve()
        await self.loop.create_future()

    def later(self, call) -> None:
        self.loop.call_later(PERIOD, call)

    def spin(self) -> None:
        self.loop.call_soon(self.spin)


class Uvloop(Asyncio):
    def run(self) -> None:
        import uvloop

        uvloop.run(self.main())


class Trio(Host):
    def run(self) -> None:
        import trio

        self.trio = trio
        trio.run(self.main)

    async def main(self) -> None:
        async with self.trio.open_nursery() as self.nursery:
            self.serve()
            await self.trio.sleep_forever()

    def tick(self) -> None:
        self.nursery.start_soon(self.keep_ticking)

    async def keep_ticking(self) -> None:
        while True:
            self.ticks.append(monotonic())
            await self.trio.sleep(PERIOD)

    def later(self, call) -> None: ...

    def spin(self) -> None:
        self.nursery.start_soon(self.keep_spinning)

    async def keep_spinning(self) -> None:
        while True:
            await self.trio.lowlevel.checkpoint()


class Tk(Host):
    def run(self) -> None:
        import tkinter

        from serversocket.hosts.tk import attach

        self.root = tkinter.Tk()
        attach(self.root)
        self.serve()
        self.root.mainloop()

    def later(self, call) -> None:
        self.root.after(1, call)

    def spin(self) -> None:
        self.root.after(0, self.spin)


class Qt(Host):
    def run(self) -> None:
        from PySide6.QtCore import QCoreApplication, QTimer

        from serversocket.hosts.qt import attach

        app = QCoreApplication([])
        attach()
        self.timers = []
        self.serve()
        for period, call in ((1, self.note), *[(0, lambda: None)] * self.spinning):
            timer = QTimer(app, interval=period)
            timer.setTimerType(timer.timerType().PreciseTimer)
            timer.timeout.connect(call)
            timer.start()
            self.timers.append(timer)
        app.exec()

    def note(self) -> None:
        self.ticks.append(monotonic())

    def tick(self) -> None: ...

    def later(self, call) -> None: ...

    def spin(self) -> None: ...


class GLib(Host):
    def run(self) -> None:
        with suppress(ImportError):
            import gi  # noqa: F401
        if "gi" not in sys.modules:
            sys.path.append(DEBIAN)
        from gi.repository import GLib

        from serversocket.hosts.glib import attach

        self.glib = GLib
        attach()
        self.serve()
        GLib.MainLoop().run()

    def later(self, call) -> None:
        self.glib.timeout_add(1, call)

    def spin(self) -> None:
        self.glib.idle_add(lambda: True, priority=self.glib.PRIORITY_DEFAULT)


class Gevent(Host):
    def run(self) -> None:
        import gevent

        from serversocket.hosts.gevent import attach

        self.gevent = gevent
        attach()
        self.serve()
        gevent.wait()

    def tick(self) -> None:
        self.gevent.spawn(self.keep_ticking)

    def keep_ticking(self) -> None:
        while True:
            self.ticks.append(monotonic())
            self.gevent.sleep(PERIOD)

    def later(self, call) -> None: ...

    def spin(self) -> None:
        self.gevent.spawn(self.keep_spinning)

    def keep_spinning(self) -> None:
        while True:
            self.gevent.sleep(0)


HOSTS = {"asyncio": Asyncio, "uvloop": Uvloop, "trio": Trio, "tk": Tk, "qt": Qt, "glib": GLib, "gevent": Gevent}

if __name__ == "__main__":
    HOSTS[sys.argv[1]](int(sys.argv[2]) if len(sys.argv) > 3 else 0).run()

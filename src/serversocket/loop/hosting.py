"""A reactor inside another loop, its host: the host watches the reactor's descriptor and polls it when readable."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

from .running import in_trio, running_loop, running_trio


class Hosted(Protocol):
    """The part of a reactor that a host uses."""

    _host: Host | None

    @property
    def closed(self) -> bool: ...
    @property
    def running(self) -> bool: ...
    def fileno(self) -> int: ...
    def poll(self, timeout: float | None = None) -> int: ...
    def close(self) -> None: ...
    def _check_thread(self) -> None: ...


_R = TypeVar("_R", bound=Hosted)


class Host(Protocol):
    """A loop that delivers a reactor's events: it watches the descriptor and polls the reactor when it is readable."""

    @property
    def name(self) -> str:
        """The host's name in messages."""

    @property
    def delivers(self) -> bool:
        """True if the host delivers events now, so that waiting in `Reactor.run` would block it."""

    def watch(self, reactor: Any) -> None:
        """Starts watching the reactor's descriptor."""

    def unwatch(self, reactor: Any) -> None:
        """Stops watching it. The number is still open, but may refer to a new descriptor by now."""


# ---- the one place that knows which host delivers the events of which reactor


def join(reactor: Hosted, host: Host) -> None:
    """Makes the host deliver the reactor's events.

    Raises:
        RuntimeError: The reactor is closed, running, already hosted, or belongs to another thread.
        IOError: It has no descriptor (#2002).
    """
    reactor._check_thread()
    if reactor._host is not None:
        raise RuntimeError(f"{reactor._host.name} delivers the events of this reactor already")
    if reactor.running:
        raise RuntimeError(f"the reactor is running already; {host.name} cannot deliver its events")
    host.watch(reactor)
    reactor._host = host


def leave(reactor: Hosted, host: Host) -> None:
    """Stops the host from delivering the reactor's events. Does nothing if another host, or none, delivers them."""
    if reactor._host is host:
        reactor._check_thread()
        reactor._host = None
        host.unwatch(reactor)


def rejoin(reactor: Hosted) -> None:
    """Makes the host watch again, after the reactor's descriptor was replaced by a new one with the same number."""
    if reactor._host is not None:
        reactor._host.unwatch(reactor)
        reactor._host.watch(reactor)


@contextmanager
def left(reactor: Hosted) -> Iterator[None]:
    """Detaches the host while the reactor is being closed: the system will reuse the descriptor's number."""
    host = reactor._host
    if host is None:
        yield
        return
    leave(reactor, host)
    try:
        yield
    except BaseException:
        join(reactor, host)
        raise


def refuse_run(reactor: Hosted) -> None:
    """Raises if a host delivers the events, or if waiting here would block all greenlets of gevent."""
    host = reactor._host
    if host is not None and host.delivers:
        raise RuntimeError(f"{host.name} delivers the events of this reactor; run() is not needed")
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("select"):
        raise RuntimeError("run() would stop all greenlets; let serversocket.hosts.gevent.attach() deliver the events")


# ---- hosts that are found by themselves: asyncio and trio

# By loop or run: each hosts one reactor, and both end together.
_found: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def hosted_reactor(make: type[_R]) -> _R | None:
    """Returns the reactor hosted by the running asyncio loop or trio, made by the first call; ``None`` outside them."""
    found, host = (running_trio(), TrioHost) if in_trio() else (running_loop(), AsyncioHost)
    if found is None:
        return None
    reactor: _R | None = _found.get(found)
    if reactor is None or reactor.closed:
        reactor = make()
        join(reactor, host(found))
        if host is AsyncioHost and found not in _found:
            _close_along(found)
        _found[found] = reactor
        # The reactor has no reference to the loop, so both can be collected.
        weakref.finalize(found, _close, weakref.ref(reactor)).atexit = False
    return reactor


def _close_along(loop: Any) -> None:
    """Makes the loop's `close` close its reactor first. If `close` cannot be replaced, the loop's finalizer does it."""
    close = loop.close

    def close_both() -> None:
        if not loop.is_running():
            reactor = _found.pop(loop, None)
            if reactor is not None:
                _close(weakref.ref(reactor))
        close()

    with suppress(AttributeError):
        loop.close = close_both


class AsyncioHost:
    """An asyncio loop, including uvloop's."""

    name = "the running asyncio loop"

    def __init__(self, loop: Any) -> None:
        self._loop = weakref.ref(loop)

    @property
    def delivers(self) -> bool:
        """True if the loop runs in this thread."""
        return self._loop() is running_loop()

    def watch(self, reactor: Hosted) -> None:
        """Adds a reader to the loop, if the loop is open."""
        loop = self._loop()
        if loop is not None and not loop.is_closed():
            loop.add_reader(reactor.fileno(), _poll, weakref.ref(reactor))

    def unwatch(self, reactor: Hosted) -> None:
        """Removes the reader."""
        loop = self._loop()
        if loop is not None and not loop.is_closed():
            loop.remove_reader(reactor.fileno())


class TrioHost:
    """A run of trio. When it ends, the reactor is closed."""

    name = "the running trio loop"

    def __init__(self, token: Any) -> None:
        self._token = weakref.ref(token)
        self._watched: object = None

    @property
    def delivers(self) -> bool:
        """True if the run is in progress in this thread."""
        return self._token() is running_trio()

    def watch(self, reactor: Hosted) -> None:
        """Starts a system task that waits for the descriptor."""
        if self.delivers:
            watched = self._watched = object()
            sys.modules["trio"].lowlevel.spawn_system_task(self._deliver, weakref.ref(reactor), watched)

    def unwatch(self, reactor: Hosted) -> None:
        """Ends the task."""
        self._watched = None
        if self.delivers:
            sys.modules["trio"].lowlevel.notify_closing(reactor.fileno())

    async def _deliver(self, reference: weakref.ref[Hosted], watched: object) -> None:
        trio = sys.modules["trio"]
        try:
            while (reactor := reference()) is not None and self._watched is watched:
                number = reactor.fileno()
                del reactor
                await trio.lowlevel.wait_readable(number)
                if self._watched is watched:
                    _poll(reference)
        except trio.ClosedResourceError:
            pass  # unwatched
        except trio.Cancelled:
            self._watched = None
            _close(reference)
            raise


def _poll(reference: weakref.ref[Hosted]) -> None:
    reactor = reference()
    if reactor is not None and not reactor.closed:
        reactor.poll(0)


def _close(reference: weakref.ref[Hosted]) -> None:
    reactor = reference()
    if reactor is not None and not reactor.running:
        # If the loop ended in another thread, the reactor closes when it is collected.
        with suppress(RuntimeError):
            reactor.close()


def forget() -> None:
    """Forgets the parent's loops, in a forked child: they host nothing here."""
    _found.clear()

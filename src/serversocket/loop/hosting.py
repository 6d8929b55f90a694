"""A reactor inside somebody else's loop: its one descriptor tells that loop when to poll it."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol, TypeVar

from .running import in_trio, running_loop, running_trio


class Hosted(Protocol):
    """What a host needs of a reactor."""

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
    """Who delivers a reactor's events: a loop that watches its descriptor and polls it when that is readable."""

    @property
    def name(self) -> str:
        """How messages call it."""

    @property
    def delivers(self) -> bool:
        """Whether it delivers now, so that waiting in `Reactor.run` would stop it."""

    def watch(self, reactor: Any) -> None:
        """Begins to watch the reactor's descriptor."""

    def unwatch(self, reactor: Any) -> None:
        """Ends that. The descriptor is still open, but may have become another one under the same number."""


# ---- the one place that knows who hosts which reactor


def join(reactor: Hosted, host: Host) -> None:
    """From here on the host delivers the reactor's events.

    Raises:
        RuntimeError: The reactor is closed, runs, is hosted already, or belongs to another thread.
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
    """The host delivers the reactor's events no more. Does nothing where it does not."""
    if reactor._host is host:
        reactor._check_thread()
        reactor._host = None
        host.unwatch(reactor)


def rejoin(reactor: Hosted) -> None:
    """After the reactor's descriptor has become another one of the same number, which its host does not watch yet."""
    if reactor._host is not None:
        reactor._host.unwatch(reactor)
        reactor._host.watch(reactor)


@contextmanager
def left(reactor: Hosted) -> Iterator[None]:
    """While a reactor is closed: its host must not keep a number that the system will give out again."""
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
    """Raises where somebody else delivers the events, or others have to be let run: waiting here would stop them."""
    host = reactor._host
    if host is not None and host.delivers:
        raise RuntimeError(f"{host.name} delivers the events of this reactor; run() is not needed")
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None and monkey.is_module_patched("select"):
        raise RuntimeError("run() would stop all greenlets; let serversocket.hosts.gevent.attach() deliver the events")


# ---- hosts that are found

# By loop or run: it hosts one reactor, and both end together.
_found: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def hosted_reactor(make: type[_R]) -> _R | None:
    """The reactor that the running asyncio loop or trio hosts, made at the first call; ``None`` outside of them."""
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
        # The reactor holds nothing of the loop, so that both can be collected.
        weakref.finalize(found, _close, weakref.ref(reactor)).atexit = False
    return reactor


def _close_along(loop: Any) -> None:
    """Has the loop's `close` close its reactor first. Where a loop does not let itself be told, its collection does."""
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
    """An asyncio loop, uvloop's included."""

    name = "the running asyncio loop"

    def __init__(self, loop: Any) -> None:
        self._loop = weakref.ref(loop)

    @property
    def delivers(self) -> bool:
        """Whether the loop runs in this thread."""
        return self._loop() is running_loop()

    def watch(self, reactor: Hosted) -> None:
        """Adds a reader to the loop, if that is open."""
        loop = self._loop()
        if loop is not None and not loop.is_closed():
            loop.add_reader(reactor.fileno(), _poll, weakref.ref(reactor))

    def unwatch(self, reactor: Hosted) -> None:
        """Removes it."""
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
        """Whether the run is under way in this thread."""
        return self._token() is running_trio()

    def watch(self, reactor: Hosted) -> None:
        """Begins a task of the system's that waits for the descriptor."""
        if self.delivers:
            watched = self._watched = object()
            sys.modules["trio"].lowlevel.spawn_system_task(self._deliver, weakref.ref(reactor), watched)

    def unwatch(self, reactor: Hosted) -> None:
        """Ends that task."""
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
        # Where the loop ended in another thread, the reactor's own collection will close it.
        with suppress(RuntimeError):
            reactor.close()


def forget() -> None:
    """In a forked child: no loop of the parent hosts anything here."""
    _found.clear()

"""A reactor inside somebody else's loop: its one descriptor tells that loop when to poll it."""

from __future__ import annotations

import sys
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from .reactor import Reactor

_R = TypeVar("_R", bound="Reactor")

# By loop: a loop hosts one reactor, and both go together.
_hosted: weakref.WeakKeyDictionary[Any, Any] = weakref.WeakKeyDictionary()


def running_loop() -> Any | None:
    """The asyncio loop that runs in this thread, or ``None``; asyncio is not imported for the question."""
    asyncio_events = sys.modules.get("asyncio.events")
    return None if asyncio_events is None else asyncio_events._get_running_loop()


def hosted_reactor(make: type[_R]) -> _R | None:
    """The reactor that the running asyncio loop hosts, made at the first call; ``None`` outside a loop."""
    loop = running_loop()
    if loop is None:
        return None
    reactor: _R | None = _hosted.get(loop)
    if reactor is None or reactor.closed:
        reactor = make()
        _hosted[loop] = reactor
        loop.add_reader(reactor.fileno(), _poll, weakref.ref(reactor))
        # The reactor holds nothing of the loop, so that both can be collected.
        weakref.finalize(loop, _close, weakref.ref(reactor)).atexit = False
    return reactor


def rejoin(reactor: Reactor) -> None:
    """After the reactor's descriptor has become another one of the same number, which its loop does not watch yet."""
    for loop, hosted in list(_hosted.items()):
        if hosted is reactor and not loop.is_closed():
            loop.remove_reader(reactor.fileno())
            loop.add_reader(reactor.fileno(), _poll, weakref.ref(reactor))


def number_of(reactor: Reactor) -> int:
    """The descriptor by which a loop knows the reactor; -1 where none does."""
    return reactor.fileno() if not reactor.closed and any(hosted is reactor for hosted in _hosted.values()) else -1


def leave(reactor: Reactor, number: int) -> None:
    """After a reactor was closed: its loop must not keep a number that the system will give out again."""
    for loop, hosted in list(_hosted.items()):
        if hosted is reactor:
            del _hosted[loop]
            if number >= 0 and not loop.is_closed():
                loop.remove_reader(number)


def _poll(reference: weakref.ref[Reactor]) -> None:
    reactor = reference()
    if reactor is not None and not reactor.closed:
        reactor.poll(0)


def _close(reference: weakref.ref[Reactor]) -> None:
    reactor = reference()
    if reactor is not None and not reactor.running:
        # Where the loop was collected in another thread, the reactor's own collection will close it.
        with suppress(RuntimeError):
            reactor.close()


def refuse_run(reactor: Reactor) -> None:
    """Raises where a loop that runs in this thread delivers the events already: waiting here would stop it."""
    loop = running_loop()
    if loop is not None and _hosted.get(loop) is reactor:
        raise RuntimeError("the running asyncio loop delivers the events of this reactor; run() is not needed")


def forget() -> None:
    """In a forked child: no loop of the parent hosts anything here."""
    _hosted.clear()

"""Signals as calls of a reactor: `Reactor.on_signal`."""

from __future__ import annotations

import atexit
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Protocol

from .. import errors
from ..checks import as_int
from ..engine.listener_checks import refuse_coroutine_function
from ..naming import with_as3_names

__all__ = ["SignalHandle"]


class Woken(Protocol):
    """The part of a reactor that signals use."""

    @property
    def closed(self) -> bool: ...
    def call_soon_threadsafe(self, callback: Callable[..., object], *args: object) -> None: ...
    def _check_thread(self) -> None: ...
    def _add_wakeup(self, fd: int) -> None: ...
    def _remove_wakeup(self, fd: int) -> None: ...


@with_as3_names
class SignalHandle:
    """A handle for a callback of `Reactor.on_signal`."""

    __slots__ = ("__weakref__", "_arguments", "_callback", "_reactor", "_signum")

    def __init__(
        self, reactor: Woken, signum: int, callback: Callable[..., object], arguments: tuple[object, ...]
    ) -> None:
        self._reactor: Woken | None = reactor
        self._signum = signum
        self._callback = callback
        self._arguments = arguments

    @property
    def signum(self) -> int:
        """The number of the signal."""
        return self._signum

    @property
    def cancelled(self) -> bool:
        """True if the callback was removed, by `cancel` or because the reactor was closed."""
        return self._reactor is None

    def cancel(self) -> None:
        """Removes the callback. After the last one for a signal, the previous handler is restored. Idempotent.

        Raises:
            RuntimeError: This is not the main thread.
        """
        if self._reactor is not None:
            _require_main_thread("cancel()")
            reactor, self._reactor = self._reactor, None
            _ended(self._signum)
            _leave_alarm(reactor, self)

    def _came(self) -> None:
        if self._reactor is not None:
            self._reactor.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        if self._reactor is not None:  # it may have been cancelled meanwhile
            self._callback(*self._arguments)

    def __repr__(self) -> str:
        name = self._signum.name if isinstance(self._signum, signal.Signals) else self._signum
        return f"<SignalHandle {'cancelled' if self.cancelled else 'waiting'} {name}>"


class _Alarm:
    """A wake-up descriptor: a signal makes Python write to it, which ends the reactor's or the host's wait.

    The system interrupts a wait only if the signal arrives during it. Python's own handler runs after the wait, and
    with many libraries' loops not at all. But Python's low-level handler can write to a descriptor, which the reactor
    watches. A program that has set this descriptor itself, as asyncio and trio do, keeps it, and wakes up by its own
    means.

    A reactor has an alarm while it has a user: the current `run`, and each handle. Python writes to only one
    descriptor: the running reactor's if there is one, otherwise that of a reactor with handles. A signal handler may
    raise at any moment, so an alarm is in `_alarms` before `begin`, and `end` cleans up a partial one too.
    """

    def __init__(self) -> None:
        self.users: set[object] = set()
        self._ends: tuple[socket.socket, socket.socket] | None = None

    def begin(self, reactor: Woken) -> None:
        if self._ends is None:
            ends = socket.socketpair()
            try:
                for end in ends:
                    end.setblocking(False)
                self._ends = ends
                reactor._add_wakeup(ends[0].fileno())
            except BaseException:
                self.end(reactor)
                with ends[0], ends[1]:  # both are closed, even if the first close fails
                    raise

    def ring(self, instead: bool) -> None:
        """Makes Python write here, if it writes nowhere yet, or with `instead` if it writes to another alarm."""
        if self._ends is None:
            return
        previous = signal.set_wakeup_fd(self._ends[1].fileno(), warn_on_full_buffer=False)
        if previous != -1 and not (instead and any(alarm.writes_to(previous) for alarm in _alarms.values())):
            signal.set_wakeup_fd(previous)

    def writes_to(self, descriptor: int) -> bool:
        return self._ends is not None and self._ends[1].fileno() == descriptor

    def end(self, reactor: Woken) -> None:
        """Removes the descriptor; one that the program has set meanwhile stays."""
        if self._ends is None:
            return
        current = signal.set_wakeup_fd(-1)
        if current != -1 and not self.writes_to(current):
            signal.set_wakeup_fd(current)
        (ours, theirs), self._ends = self._ends, None
        with ours, theirs:
            if not reactor.closed:
                with suppress(KeyError, ValueError):  # `begin` was interrupted before adding it
                    reactor._remove_wakeup(ours.fileno())


@contextmanager
def wakes(reactor: Woken) -> Iterator[None]:
    """Lets signals end the reactor's waits, if this is the main thread, which receives them."""
    if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
        yield
        return
    user = object()  # a separate one, because a nested run is refused
    try:
        _use_alarm(reactor, user, instead=True)
        yield
    finally:
        _leave_alarm(reactor, user)


def _use_alarm(reactor: Woken, user: object, instead: bool = False) -> None:
    alarm = _alarms.setdefault(reactor, _Alarm())
    alarm.users.add(user)
    alarm.begin(reactor)
    alarm.ring(instead)


def _leave_alarm(reactor: Woken, user: object) -> None:
    """Removes a user. After the last one the alarm ends, and another reactor's alarm may be used."""
    alarm = _alarms.get(reactor)
    if alarm is None:
        return
    alarm.users.discard(user)
    if not alarm.users:
        _end_alarm(reactor, alarm)


def _end_alarm(reactor: Woken, alarm: _Alarm) -> None:
    alarm.end(reactor)
    _alarms.pop(reactor, None)
    for other in _alarms.values():
        other.ring(False)


# Used by the main thread only, which runs all signal handlers.
_handles: dict[int, list[SignalHandle]] = {}
_before: dict[int, Any] = {}
_alarms: dict[Woken, _Alarm] = {}  # of the reactors that run or have handles


def watch(reactor: Woken, signum: int, callback: Callable[..., object], *args: object) -> SignalHandle:
    """Implements `Reactor.on_signal`."""
    _require_main_thread("on_signal()")
    number = _parse_signal(signum)
    if not callable(callback):
        raise errors.wrong_type("callback", callback, "callable")
    refuse_coroutine_function("callback", callback)
    if reactor.closed:
        raise RuntimeError("the reactor is closed")
    reactor._check_thread()
    handle = SignalHandle(reactor, number, callback, args)
    try:
        _use_alarm(reactor, handle)
        if number not in _handles:
            _take_over(number)
        _handles[number].append(handle)
    except BaseException:
        _leave_alarm(reactor, handle)
        raise
    return handle


def _take_over(number: int) -> None:
    try:
        before = signal.signal(number, _handle)
    except (OSError, ValueError) as error:
        raise ValueError(f"signum: {number!r} cannot be handled: {error}") from None
    _handles[number], _before[number] = [], before


def _parse_signal(signum: int) -> int:
    wanted = as_int("signum", signum, "the number of a signal")
    valid = {int(number): number for number in signal.valid_signals()}  # real-time signals are plain numbers
    if (number := valid.get(wanted)) is None:
        raise ValueError(f"signum: {errors.shown(signum)} is not the number of a signal")
    return number


def _require_main_thread(call: str) -> None:
    current = threading.current_thread()
    if current is not threading.main_thread():
        raise RuntimeError(
            f"{call}: only the main thread {threading.main_thread().name!r} gets signals; called from {current.name!r}"
        )


def _handle(signum: int, _frame: FrameType | None) -> None:
    for handle in list(_handles.get(signum, ())):
        handle._came()


def _ended(number: int) -> None:
    """Forgets cancelled handles of a signal, and restores its previous handler after the last one."""
    _handles[number] = [handle for handle in _handles[number] if not handle.cancelled]
    if not _handles[number]:
        del _handles[number]
        before = _before.pop(number)
        if signal.getsignal(number) is _handle:
            signal.signal(number, signal.SIG_DFL if before is None else before)


def _all_handles() -> list[SignalHandle]:
    return [handle for handles in _handles.values() for handle in handles]


def close(reactor: Woken) -> None:
    """Cancels all handles of a reactor, before it is closed."""
    for handle in _all_handles():
        if handle._reactor is reactor:
            handle.cancel()
    if reactor in _alarms:  # a signal handler raised while the alarm was ending
        _end_alarm(reactor, _alarms[reactor])


def forget() -> None:
    """Restores the previous handlers, in a forked child and at the end of the interpreter."""
    for number, before in _before.items():
        if signal.getsignal(number) is _handle:
            signal.signal(number, signal.SIG_DFL if before is None else before)
    for reactor, alarm in _alarms.items():
        alarm.end(reactor)
    for handle in _all_handles():
        handle._reactor = None
    _handles.clear()
    _before.clear()
    _alarms.clear()


atexit.register(forget)

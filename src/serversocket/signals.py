"""Signals as calls of a reactor: `Reactor.on_signal`."""

from __future__ import annotations

import atexit
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from . import errors
from .naming import with_as3_names

if TYPE_CHECKING:
    from .reactor import Reactor

__all__ = ["SignalHandle"]


@with_as3_names
class SignalHandle:
    """What `Reactor.on_signal` has promised."""

    __slots__ = ("__weakref__", "_arguments", "_callback", "_reactor", "_signum")

    def __init__(
        self, reactor: Reactor, signum: signal.Signals, callback: Callable[..., object], arguments: tuple[object, ...]
    ) -> None:
        self._reactor: Reactor | None = reactor
        self._signum = signum
        self._callback = callback
        self._arguments = arguments

    @property
    def signum(self) -> int:
        """The number of the signal."""
        return self._signum

    @property
    def cancelled(self) -> bool:
        """Whether it is over: by `cancel`, or because the reactor was closed."""
        return self._reactor is None

    def cancel(self) -> None:
        """Ends it. With the last one for a signal, what that did before is put back. A second call does nothing.

        Raises:
            RuntimeError: This is not the main thread.
        """
        if self._reactor is not None:
            _require_main_thread("cancel()")
            self._reactor = None
            _ended(self._signum)

    def _came(self) -> None:
        if self._reactor is not None:
            self._reactor.call_soon_threadsafe(self._run)

    def _run(self) -> None:
        if self._reactor is not None:  # it may have been cancelled since
            self._callback(*self._arguments)

    def __repr__(self) -> str:
        return f"<SignalHandle {'cancelled' if self.cancelled else 'waiting'} {self._signum.name}>"


class _Alarm:
    """Has a signal wake a reactor out of its wait, or its host out of another library's.

    The system interrupts a wait only if the signal arrives while it lasts; Python's handler runs after it, and in many
    a library's wait not at all. Python can write to a descriptor from its own low-level handler; the
    reactor watches that. A program that uses that descriptor itself, as asyncio and trio do, keeps it, and wakes
    up in its own way.
    """

    def __init__(self, reactor: Reactor) -> None:
        self._ours, self._theirs = socket.socketpair()
        try:
            for end in (self._ours, self._theirs):
                end.setblocking(False)
            reactor._add_wakeup(self._ours.fileno())
        except BaseException:
            self._ours.close()
            self._theirs.close()
            raise
        previous = signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        self._used = previous == -1
        if not self._used:
            signal.set_wakeup_fd(previous)

    def end(self, reactor: Reactor) -> None:
        """Takes it away; a descriptor that somebody else has set meanwhile stays."""
        if self._used:
            current = signal.set_wakeup_fd(-1)
            if current not in (-1, self._theirs.fileno()):
                signal.set_wakeup_fd(current)
        with self._ours, self._theirs:
            if not reactor.closed:
                reactor._remove_wakeup(self._ours.fileno())


@contextmanager
def wakes(reactor: Reactor) -> Iterator[None]:
    """Lets signals end the reactor's waits, if this is the thread that they come to."""
    if threading.current_thread() is not threading.main_thread() or sys.platform == "win32":
        yield
        return
    alarm = _Alarm(reactor)
    try:
        yield
    finally:
        alarm.end(reactor)


# Of the main thread, as all handlers of signals are.
_handles: dict[signal.Signals, list[SignalHandle]] = {}
_before: dict[signal.Signals, Any] = {}
_alarms: dict[Reactor, _Alarm] = {}  # of those that have handles


def watch(reactor: Reactor, signum: int, callback: Callable[..., object], *args: object) -> SignalHandle:
    """What `Reactor.on_signal` does."""
    _require_main_thread("on_signal()")
    number = _parse_signal(signum)
    if not callable(callback):
        raise errors.wrong_type("callback", callback, "callable")
    if reactor.closed:
        raise RuntimeError("the reactor is closed")
    reactor._check_thread()
    if reactor not in _alarms:
        _alarms[reactor] = _Alarm(reactor)
    handle = SignalHandle(reactor, number, callback, args)
    if number not in _handles:
        try:
            before = signal.signal(number, _handle)
        except (OSError, ValueError) as error:
            _end_alarm(reactor)
            raise ValueError(f"signum: {number!r} cannot be handled: {error}") from None
        _handles[number], _before[number] = [], before
    _handles[number].append(handle)
    return handle


def _parse_signal(signum: int) -> signal.Signals:
    if isinstance(signum, bool) or not hasattr(type(signum), "__index__"):
        raise errors.wrong_type("signum", signum, "the number of a signal")
    try:
        return signal.Signals(signum.__index__())
    except ValueError:
        raise ValueError(f"signum: {errors.shown(signum)} is not the number of a signal") from None


def _require_main_thread(call: str) -> None:
    current = threading.current_thread()
    if current is not threading.main_thread():
        raise RuntimeError(
            f"{call}: signals come to the main thread {threading.main_thread().name!r}, called from {current.name!r}"
        )


def _handle(signum: int, _frame: FrameType | None) -> None:
    for handle in list(_handles.get(signal.Signals(signum), ())):
        handle._came()


def _ended(number: signal.Signals) -> None:
    """Forgets what was cancelled, and the signal with the last of it, and the alarms that nobody needs."""
    _handles[number] = [handle for handle in _handles[number] if not handle.cancelled]
    if not _handles[number]:
        del _handles[number]
        before = _before.pop(number)
        if signal.getsignal(number) is _handle:
            signal.signal(number, signal.SIG_DFL if before is None else before)
    for reactor in list(_alarms):
        _end_alarm(reactor)


def _end_alarm(reactor: Reactor) -> None:
    """Ends a reactor's alarm if no handle is left that needs it."""
    if not any(handle._reactor is reactor for handle in _all_handles()):
        _alarms.pop(reactor).end(reactor)


def _all_handles() -> list[SignalHandle]:
    return [handle for handles in _handles.values() for handle in handles]


def close(reactor: Reactor) -> None:
    """Ends all that a reactor waits for, before it is closed."""
    if reactor in _alarms:
        for handle in _all_handles():
            if handle._reactor is reactor:
                handle.cancel()


def forget() -> None:
    """In a forked child, and at the end of the interpreter: signals do what they did before."""
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

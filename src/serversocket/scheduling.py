"""Timers, and calls from other threads."""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import Callable
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from . import errors
from .naming import with_as3_names

__all__ = ["Scheduler", "TimerHandle"]

_FEW = 64


@with_as3_names
class TimerHandle:
    """What `Reactor.call_later` or `Reactor.call_every` has promised."""

    __slots__ = ("__weakref__", "_arguments", "_callback", "_cancelled", "_period", "_scheduler", "_when")

    def __init__(
        self,
        scheduler: Scheduler,
        when: float,
        callback: Callable[..., object],
        arguments: tuple[object, ...],
        period: float = 0.0,
    ) -> None:
        self._scheduler: Scheduler | None = scheduler
        self._when = when
        self._period = period  # seconds; 0: one call
        self._callback: Callable[..., object] | None = callback
        self._arguments = arguments
        self._cancelled = False

    @property
    def when(self) -> float:
        """When the call is due, or the next one, in seconds of the clock of `time.monotonic`."""
        return self._when

    @property
    def cancelled(self) -> bool:
        """Whether `cancel` came before the call, or ended the calls."""
        return self._cancelled

    def cancel(self) -> None:
        """Takes the promise back. Does nothing when the call has been made or was cancelled already.

        Raises:
            RuntimeError: The reactor belongs to another thread.
        """
        scheduler = self._scheduler
        if scheduler is None:
            return
        scheduler._check_thread()
        self._cancelled = True
        self._take()
        scheduler._timer_cancelled()

    def _advance(self, now: float) -> None:
        """Sets the next of its times that is still to come: those that were missed are not made up for."""
        self._when += self._period * (math.floor((now - self._when) / self._period) + 1)
        if self._when <= now:  # the period is too short for the clock's precision
            self._when = math.nextafter(now, math.inf)

    def _take(self) -> tuple[Callable[..., object] | None, tuple[object, ...]]:
        """What to call; the handle keeps nothing of it alive from here on."""
        taken = self._callback, self._arguments
        self._scheduler, self._callback, self._arguments = None, None, ()
        return taken

    def __repr__(self) -> str:
        state = "cancelled" if self._cancelled else "done" if self._scheduler is None else "waiting"
        return f"<TimerHandle {state} when={self._when:.3f}>"


@with_as3_names
class Scheduler:
    """What a reactor knows of timers and of calls from other threads. The engine is the other base of a reactor."""

    if TYPE_CHECKING:
        closed: Any

        def _set_deadline(self, when: float | None) -> None: ...
        def _wake(self) -> None: ...
        def _check_thread(self) -> None: ...
        def _report(self, exception: Exception, source: object) -> None: ...

    _timers: list[tuple[float, int, TimerHandle]]
    _cancelled_timers: int
    _background_timers: int
    _timer_numbers: count[int]
    _deadline: float | None
    _calls: deque[tuple[Callable[..., object], tuple[object, ...]]]

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._timers = []
        self._cancelled_timers = 0
        self._background_timers = 0
        self._timer_numbers = count()
        self._deadline = None
        self._calls = deque()
        return self

    def call_later(self, seconds: float, callback: Callable[..., object], *args: object) -> TimerHandle:
        """Calls `callback` from the reactor once a time has passed; calls due at the same moment go in order.

        Args:
            seconds: How long from now, in seconds; negative means 0, infinite means never.
            callback: What to call. What it raises goes the way of a listener's exception.
            args: What to call it with.

        Returns:
            A handle whose `cancel()` takes the promise back.

        Raises:
            TypeError: `seconds` is no number, or `callback` cannot be called.
            ValueError: `seconds` is not-a-number.
            RuntimeError: The reactor is closed or belongs to another thread.
        """
        self._check_thread()
        self._check_schedulable(callback)
        return self._promise(TimerHandle(self, time.monotonic() + _parse_delay(seconds), callback, args))

    def call_every(self, seconds: float, callback: Callable[..., object], *args: object) -> TimerHandle:
        """Calls `callback` from the reactor again and again, the first time once a period has passed.

        The times are multiples of the period from now on, so they do not drift. Where a call comes late, because the
        reactor was busy, the times that were missed are left out.

        Args:
            seconds: The period, in seconds; more than 0.
            callback: What to call. What it raises goes the way of a listener's exception, and the calls go on.
            args: What to call it with.

        Returns:
            A handle whose `cancel()` ends it. Until then `run` goes on.

        Raises:
            TypeError: `seconds` is no number, or `callback` cannot be called.
            ValueError: `seconds` is not-a-number, infinite, 0 or negative.
            RuntimeError: The reactor is closed or belongs to another thread.

        Example:
            >>> reactor = Reactor()
            >>> def tick():
            ...     print("tick")
            ...     if next(ticks) == 3:
            ...         handle.cancel()
            >>> import itertools
            >>> ticks = itertools.count(1)
            >>> handle = reactor.call_every(0.001, tick)
            >>> reactor.run()
            tick
            tick
            tick
            >>> reactor.close()
        """
        self._check_thread()
        self._check_schedulable(callback)
        period = _parse_delay(seconds)
        if not 0 < period < math.inf:
            raise ValueError(f"seconds must be a number of seconds that is more than 0, not {seconds!r}")
        return self._promise(TimerHandle(self, time.monotonic() + period, callback, args, period))

    def _promise(self, handle: TimerHandle) -> TimerHandle:
        heapq.heappush(self._timers, (handle.when, next(self._timer_numbers), handle))
        self._update_deadline()
        return handle

    def _call_in_background(self, seconds: float, callback: Callable[[], object]) -> None:
        """As `call_later`, for what is of no use once nothing else is open: `run` does not wait for it."""

        def due() -> None:
            self._background_timers -= 1
            callback()

        self.call_later(seconds, due)
        self._background_timers += 1

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: object) -> None:
        """Calls `callback` from the reactor, in its next turn. This may be called from any thread.

        Args:
            callback: What to call. What it raises goes the way of a listener's exception.
            args: What to call it with.

        Raises:
            TypeError: `callback` cannot be called.
            RuntimeError: The reactor is closed.
        """
        self._check_schedulable(callback)
        self._calls.append((callback, args))
        self._wake()

    def _check_schedulable(self, callback: object) -> None:
        if not callable(callback):
            raise errors.wrong_type("callback", callback, "callable")
        if self.closed:
            raise RuntimeError("the reactor is closed")

    @property
    def _has_scheduled(self) -> bool:
        """Whether a timer or a call is outstanding."""
        return bool(self._calls) or len(self._timers) > self._cancelled_timers + self._background_timers

    def _run_timers(self) -> int:
        """Makes the calls that are due now, not those that they schedule. Returns how many."""
        now = time.monotonic()
        first_new = next(self._timer_numbers)
        ran = 0
        self._deadline = math.nan  # the engine's alarm has gone off: it is told anew, even of the same deadline
        try:
            while self._timers and self._timers[0][0] <= now and self._timers[0][1] < first_new:
                handle = heapq.heappop(self._timers)[2]
                if handle._period and not handle.cancelled:
                    callback, arguments = handle._callback, handle._arguments
                    handle._advance(now)
                    heapq.heappush(self._timers, (handle.when, next(self._timer_numbers), handle))
                else:
                    callback, arguments = handle._take()
                if callback is None:
                    self._cancelled_timers -= 1
                else:
                    ran += 1
                    self._call(callback, arguments)
        finally:
            self._update_deadline()
        return ran

    def _run_calls(self) -> int:
        """Makes the calls that wait now, not those that they add. Returns how many."""
        ran = 0
        waiting = len(self._calls)
        while ran < waiting and self._calls:
            callback, arguments = self._calls.popleft()
            ran += 1
            self._call(callback, arguments)
        return ran

    def _call(self, callback: Callable[..., object], arguments: tuple[object, ...]) -> None:
        try:
            callback(*arguments)
        except Exception as exception:
            self._report(exception, callback)

    def _drop_scheduled(self) -> None:
        """Forgets every timer and call, as closing the reactor does."""
        for _, _, handle in self._timers:
            handle._take()
        self._timers.clear()
        self._calls.clear()
        self._cancelled_timers = self._background_timers = 0
        self._deadline = None

    def _timer_cancelled(self) -> None:
        self._cancelled_timers += 1
        if self._cancelled_timers > _FEW and self._cancelled_timers * 2 > len(self._timers):
            self._timers = [entry for entry in self._timers if not entry[2].cancelled]
            heapq.heapify(self._timers)
            self._cancelled_timers = 0
        self._update_deadline()

    def _update_deadline(self) -> None:
        """Tells the engine of the next timer, if that is another one than it knows of."""
        while self._timers and self._timers[0][2].cancelled:
            heapq.heappop(self._timers)
            self._cancelled_timers -= 1
        deadline = self._timers[0][0] if self._timers and self._timers[0][0] != math.inf else None
        if deadline != self._deadline and not self.closed:
            self._deadline = deadline
            self._set_deadline(deadline)


def _parse_delay(seconds: float) -> float:
    if isinstance(seconds, bool) or not (isinstance(seconds, int) or hasattr(type(seconds), "__float__")):
        raise errors.wrong_type("seconds", seconds, "a number of seconds")
    try:
        delay = float(seconds)
    except OverflowError:
        delay = math.inf if seconds > 0 else 0.0
    if math.isnan(delay):
        raise ValueError("seconds must be a number, not nan")
    return max(delay, 0.0)

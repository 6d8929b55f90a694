"""Timers, and calls from other threads.

A signal handler may run between any two lines, schedule and cancel calls, or raise. No call may be lost or made twice
because of that. CPython checks for signals after a call, at the beginning of a Python function and at each iteration of
a loop: a state that was just checked cannot change before the end of the next call of a C function. Comments below say
where the code relies on that.

From 3.12 on, the jump to the next iteration of a loop may be outside of the `try` that contains the loop. So a loop
that needs cleanup is a function of its own, unless its form avoids that.
"""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush, heapreplace
from itertools import count
from typing import TYPE_CHECKING, Any, Self

from .. import errors
from ..checks import as_delay, as_period
from ..engine.listener_checks import refuse_coroutine_function
from ..engine.uncaught import leaves
from ..naming import with_as3_names

__all__ = ["Scheduler", "TimerHandle"]

_FEW = 64


@with_as3_names
class TimerHandle:
    """A handle for a call of `Reactor.call_later` or `Reactor.call_every`."""

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
        """When the next call is due, in seconds of the clock of `time.monotonic`."""
        return self._when

    @property
    def cancelled(self) -> bool:
        """True if `cancel` came before the call, or ended the calls."""
        return self._cancelled

    def cancel(self) -> None:
        """Cancels the call. Does nothing if the call was already made or cancelled.

        Raises:
            RuntimeError: The reactor belongs to another thread.
        """
        scheduler = self._scheduler
        if scheduler is None:
            return
        scheduler._check_thread()
        try:
            self._cancelled = True
            self._let_go()
        finally:
            scheduler._awaited.discard(self)
            scheduler._unawaited.discard(self)
        scheduler._timer_cancelled()

    def unref(self) -> Self:
        """Makes `run` not wait for the call: the call is made only if something else keeps `run` going until then.

        Does nothing after the call was made or cancelled.

        Returns:
            The handle itself.

        Raises:
            RuntimeError: The reactor belongs to another thread.

        Example:
            >>> reactor = Reactor()
            >>> handle = reactor.call_every(60, print, "another minute").unref()
            >>> handle.has_ref()
            False
            >>> reactor.run()  # nothing else is open: it returns at once
            >>> reactor.close()
        """
        return self._set_ref(False)

    def ref(self) -> Self:
        """Makes `run` wait for the call again, after `unref`.

        Does nothing after the call was made or cancelled.

        Returns:
            The handle itself.

        Raises:
            RuntimeError: The reactor belongs to another thread.
        """
        return self._set_ref(True)

    def has_ref(self) -> bool:
        """Returns True if `run` waits for the call: it is outstanding, and `unref` was not called."""
        return self._scheduler is not None and self in self._scheduler._awaited

    def _set_ref(self, awaited: bool) -> Self:
        scheduler = self._scheduler
        if scheduler is not None:
            scheduler._check_thread()
            sets = scheduler._awaited, scheduler._unawaited
            wanted, other = sets if awaited else reversed(sets)
            if self._scheduler is not None:  # no signal handler can cancel it before the end of the next call
                wanted.add(self)
            other.discard(self)
        return self

    def _advance(self, now: float) -> None:
        """Sets the next due time in the future; missed times are skipped."""
        missed = (now - self._when) / self._period
        if missed < 2**53:
            self._when += self._period * (math.floor(missed) + 1)
        if self._when <= now:  # the period is too short for the clock's precision
            self._when = math.nextafter(now, math.inf)

    def _let_go(self) -> None:
        """Drops all references, so that the handle keeps nothing alive."""
        self._scheduler, self._callback, self._arguments = None, None, ()

    def __repr__(self) -> str:
        state = "cancelled" if self._cancelled else "done" if self._scheduler is None else "waiting"
        return f"<TimerHandle {state} when={self._when:.3f}>"


@with_as3_names
class Scheduler:
    """The part of a reactor for timers and for calls from other threads. The engine is its other base class."""

    if TYPE_CHECKING:
        closed: Any

        def _set_deadline(self, when: float | None) -> None: ...
        def _wake(self) -> None: ...
        def _check_thread(self) -> None: ...
        def _report(self, exception: BaseException, source: object) -> None: ...

    _timers: list[tuple[float, int, TimerHandle]]  # a heap; some cancelled ones stay in it for a while
    _awaited: set[TimerHandle]  # outstanding ones that `run` waits for
    _unawaited: set[TimerHandle]  # the other outstanding ones
    _timer_numbers: count[int]
    _deadline: float | None
    _calls: deque[tuple[Callable[..., object], tuple[object, ...]]]

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._timers = []
        self._awaited = set()
        self._unawaited = set()
        self._timer_numbers = count()
        self._deadline = None
        self._calls = deque()
        return self

    def call_later(self, seconds: float, callback: Callable[..., object], *args: object) -> TimerHandle:
        """Calls `callback` from the reactor after a delay; calls due at the same moment are made in order.

        Args:
            seconds: The delay, in seconds; negative means 0, infinite means never.
            callback: The function to call. Its exceptions are treated like a listener's.
            args: Its arguments.

        Returns:
            A handle whose `cancel()` cancels the call. `run` waits for the call unless `unref()` is called.

        Raises:
            TypeError: `seconds` is not a number, or `callback` is not callable or is a coroutine function.
            ValueError: `seconds` is not-a-number.
            RuntimeError: The reactor is closed or belongs to another thread.

        Example:
            >>> reactor = Reactor()
            >>> late = reactor.call_later(60, print, "too late")
            >>> soon = reactor.call_later(0.001, late.cancel)
            >>> reactor.run()  # nothing is left to wait for
            >>> late.cancelled
            True
            >>> reactor.close()
        """
        self._check_thread()
        self._check_schedulable(callback)
        return self._promise(TimerHandle(self, time.monotonic() + as_delay("seconds", seconds), callback, args))

    def call_every(self, seconds: float, callback: Callable[..., object], *args: object) -> TimerHandle:
        """Calls `callback` from the reactor periodically, for the first time after one period.

        The due times are multiples of the period from now on, so they do not drift. If a call is late because the
        reactor was busy, the missed times are skipped.

        Args:
            seconds: The period, in seconds; more than 0.
            callback: The function to call. Its exceptions are treated like a listener's, and the calls continue.
            args: Its arguments.

        Returns:
            A handle whose `cancel()` ends the calls. Until then `run` does not return, unless `unref()` is called.

        Raises:
            TypeError: `seconds` is not a number, or `callback` is not callable or is a coroutine function.
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
        period = as_period("seconds", seconds)
        return self._promise(TimerHandle(self, time.monotonic() + period, callback, args, period))

    def _promise(self, handle: TimerHandle) -> TimerHandle:
        heappush(self._timers, (handle.when, next(self._timer_numbers), handle))
        self._awaited.add(handle)
        try:
            self._update_deadline()
        except Exception:  # the engine cannot start the thread that keeps the time
            handle.cancel()
            raise
        return handle

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: object) -> None:
        """Calls `callback` from the reactor, in its next turn. This may be called from any thread.

        Args:
            callback: The function to call. Its exceptions are treated like a listener's.
            args: Its arguments.

        Raises:
            TypeError: `callback` is not callable, or is a coroutine function.
            RuntimeError: The reactor is closed.

        Example:
            >>> import threading
            >>> reactor = Reactor()
            >>> thread = threading.Thread(target=reactor.call_soon_threadsafe, args=(print, "from another thread"))
            >>> thread.start()
            >>> thread.join()
            >>> reactor.run()
            from another thread
            >>> reactor.close()
        """
        self._check_schedulable(callback)
        self._calls.append((callback, args))
        self._wake()

    def _check_schedulable(self, callback: object) -> None:
        if not callable(callback):
            raise errors.wrong_type("callback", callback, "callable")
        refuse_coroutine_function("callback", callback)
        if self.closed:
            raise RuntimeError("the reactor is closed")

    @property
    def _has_scheduled(self) -> bool:
        """True if a timer or a call is outstanding."""
        return bool(self._calls or self._awaited)

    def _run_timers(self) -> int:
        """Makes the calls that are due now, but not those that they schedule. Returns how many."""
        self._deadline = math.nan  # the engine's alarm went off: set the deadline again, even an unchanged one
        try:
            return self._call_due(time.monotonic(), next(self._timer_numbers))
        finally:
            self._update_deadline()

    def _call_due(self, now: float, first_new: int) -> int:
        ran = 0
        while self._timers:
            entry = self._timers[0]
            when, number, handle = entry
            if when > now or number >= first_new:
                break
            if handle._callback is None:
                self._drop_cancelled()
            elif handle._period:
                ran += self._call_again(entry, now)
            else:
                ran += self._call_once(entry)
        return ran

    def _call_again(self, entry: tuple[float, int, TimerHandle], now: float) -> bool:
        """Makes a due call of a periodic timer. Returns True unless it was cancelled meanwhile."""
        handle, timers = entry[2], self._timers
        callback, arguments = handle._callback, handle._arguments
        if callback is None:
            return False
        handle._advance(now)
        following = handle.when, next(self._timer_numbers), handle
        # From here to the end of the call no signal handler can run, so no timer is ever missing from the heap.
        if timers is not self._timers or not timers or timers[0] is not entry:
            return False
        heapreplace(timers, following)
        try:
            callback(*arguments)
        except BaseException as exception:
            if leaves(exception):
                raise
            self._report(exception, callback)
        return True

    def _call_once(self, entry: tuple[float, int, TimerHandle]) -> bool:
        """Makes a due call. Returns True unless it was cancelled meanwhile."""
        handle, timers = entry[2], self._timers
        callback, arguments = handle._callback, handle._arguments
        if callback is None or not timers or timers[0] is not entry:
            return False
        begun = False
        try:
            heappop(timers)
            # A signal handler that raises here finds the call not begun. The next one can only run inside the call.
            handle._scheduler, handle._callback, handle._arguments = None, None, ()
            begun = True
            callback(*arguments)
        except BaseException as exception:
            if not begun:
                heappush(self._timers, entry)
                raise
            if leaves(exception):
                raise
            self._report(exception, callback)
        finally:
            if begun:
                self._awaited.discard(handle)
                self._unawaited.discard(handle)
        return True

    def _run_calls(self) -> int:
        """Makes the calls that wait now, but not those that they add. Returns how many."""
        ran = 0
        waiting = len(self._calls)
        while ran < waiting and self._calls:
            ran += 1
            call = self._calls[0]
            callback, arguments = call
            begun = False
            try:
                self._calls.popleft()
                begun = True
                callback(*arguments)
            except BaseException as exception:
                if not begun:
                    self._calls.appendleft(call)
                    raise
                if leaves(exception):
                    raise
                self._report(exception, callback)
        return ran

    def _drop_scheduled(self) -> None:
        """Drops every timer and call, when the reactor is closed."""
        for _, _, handle in self._timers:
            handle._let_go()
        self._timers.clear()
        self._awaited.clear()
        self._unawaited.clear()
        self._calls.clear()
        self._deadline = None

    def _timer_cancelled(self) -> None:
        """Sweeps the heap if more timers were cancelled than are left; a few do not matter."""
        if len(self._timers) > _FEW + 2 * (len(self._awaited) + len(self._unawaited)):
            self._sweep()
        self._update_deadline()

    def _sweep(self) -> None:
        """Moves the outstanding timers to a new heap. Signal handlers that interrupt this add to the new heap."""
        before, self._timers = self._timers, []
        done = 0
        try:
            for entry in before:
                done += 1  # no signal handler can run up to the end of the push
                if entry[2]._callback is None:
                    continue
                heappush(self._timers, entry)
        except BaseException:  # from a signal handler
            for entry in before[done:]:
                heappush(self._timers, entry)
            self._update_deadline()
            raise

    def _drop_cancelled(self) -> None:
        timers = self._timers
        while timers and timers[0][2]._callback is None:
            heappop(timers)

    def _update_deadline(self) -> None:
        """Sets the engine's deadline to the next timer's, if it has changed."""
        while True:
            self._drop_cancelled()
            timers = self._timers
            deadline = timers[0][0] if timers and timers[0][0] != math.inf else None
            if deadline == self._deadline or self.closed:
                return
            self._deadline = deadline
            self._set_deadline(deadline)  # and look again: a signal handler may have changed the next timer

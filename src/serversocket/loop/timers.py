"""Timers, and calls from other threads.

A signal's handler may run between any two lines, schedule and cancel, or raise. No promise may be lost by that, or kept
twice. CPython looks for signals after a call, at the beginning of a Python function and when a loop begins anew: what
is looked at stays as it is up to the end of the next call of a C function. Where that counts below, it is said.

From 3.12 on, the jump with which a loop begins anew may be outside of the `try` that the loop stands in. So a loop that
has to be cleaned up after is a function of its own, where its form does not avoid that.
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
        """True if `cancel` came before the call, or ended the calls."""
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
        try:
            self._cancelled = True
            self._let_go()
        finally:
            scheduler._awaited.discard(self)
            scheduler._unawaited.discard(self)
        scheduler._timer_cancelled()

    def unref(self) -> Self:
        """Has `run` not wait for the call: it is made if something else keeps `run` going until it is due.

        After the call was made or cancelled, this does nothing.

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
        """Has `run` wait for the call again, after `unref`.

        After the call was made or cancelled, this does nothing.

        Returns:
            The handle itself.

        Raises:
            RuntimeError: The reactor belongs to another thread.
        """
        return self._set_ref(True)

    def has_ref(self) -> bool:
        """Returns True if `run` waits for the call: it is still to be made, and `unref` was not called."""
        return self._scheduler is not None and self in self._scheduler._awaited

    def _set_ref(self, awaited: bool) -> Self:
        scheduler = self._scheduler
        if scheduler is not None:
            scheduler._check_thread()
            sets = scheduler._awaited, scheduler._unawaited
            wanted, other = sets if awaited else reversed(sets)
            if self._scheduler is not None:  # no handler can cancel it before the end of the next call
                wanted.add(self)
            other.discard(self)
        return self

    def _advance(self, now: float) -> None:
        """Sets the next of its times that is still to come: those that were missed are not made up for."""
        missed = (now - self._when) / self._period
        if missed < 2**53:
            self._when += self._period * (math.floor(missed) + 1)
        if self._when <= now:  # the period is too short for the clock's precision
            self._when = math.nextafter(now, math.inf)

    def _let_go(self) -> None:
        """The handle keeps nothing alive from here on."""
        self._scheduler, self._callback, self._arguments = None, None, ()

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
        def _report(self, exception: BaseException, source: object) -> None: ...

    _timers: list[tuple[float, int, TimerHandle]]  # a heap; of those that were cancelled some stay for a while
    _awaited: set[TimerHandle]  # those that `run` waits for
    _unawaited: set[TimerHandle]  # the others that are still to be called
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
        """Calls `callback` from the reactor once a time has passed; calls due at the same moment go in order.

        Args:
            seconds: How long from now, in seconds; negative means 0, infinite means never.
            callback: What to call. What it raises goes the way of a listener's exception.
            args: What to call it with.

        Returns:
            A handle whose `cancel()` takes the promise back. `run` waits for the call unless `unref()` says otherwise.

        Raises:
            TypeError: `seconds` is no number, or `callback` cannot be called or is a coroutine function.
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
        """Calls `callback` from the reactor again and again, the first time once a period has passed.

        The times are multiples of the period from now on, so they do not drift. Where a call comes late, because the
        reactor was busy, the times that were missed are left out.

        Args:
            seconds: The period, in seconds; more than 0.
            callback: What to call. What it raises goes the way of a listener's exception, and the calls go on.
            args: What to call it with.

        Returns:
            A handle whose `cancel()` ends it. Until then `run` goes on, unless `unref()` says otherwise.

        Raises:
            TypeError: `seconds` is no number, or `callback` cannot be called or is a coroutine function.
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
        except Exception:  # the engine has no thread to keep the time with
            handle.cancel()
            raise
        return handle

    def call_soon_threadsafe(self, callback: Callable[..., object], *args: object) -> None:
        """Calls `callback` from the reactor, in its next turn. This may be called from any thread.

        Args:
            callback: What to call. What it raises goes the way of a listener's exception.
            args: What to call it with.

        Raises:
            TypeError: `callback` cannot be called, or is a coroutine function.
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
        """Whether a timer or a call is outstanding."""
        return bool(self._calls or self._awaited)

    def _run_timers(self) -> int:
        """Makes the calls that are due now, not those that they schedule. Returns how many."""
        self._deadline = math.nan  # the engine's alarm has gone off: it is told anew, even of the same deadline
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
        """Makes a call that is due and comes again; whether it was still there to be made."""
        handle, timers = entry[2], self._timers
        callback, arguments = handle._callback, handle._arguments
        if callback is None:
            return False
        handle._advance(now)
        following = handle.when, next(self._timer_numbers), handle
        # From here to the end of the call nobody else comes in. What is replaced is never missing.
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
        """Makes a call that is due; whether it was still there to be made."""
        handle, timers = entry[2], self._timers
        callback, arguments = handle._callback, handle._arguments
        if callback is None or not timers or timers[0] is not entry:
            return False
        begun = False
        try:
            heappop(timers)
            # A handler that raises here finds it not begun. The next that may come in is inside the call.
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
        """Makes the calls that wait now, not those that they add. Returns how many."""
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
        """Forgets every timer and call, as closing the reactor does."""
        for _, _, handle in self._timers:
            handle._let_go()
        self._timers.clear()
        self._awaited.clear()
        self._unawaited.clear()
        self._calls.clear()
        self._deadline = None

    def _timer_cancelled(self) -> None:
        """Sweeps where more were cancelled than are left; a few never matter."""
        if len(self._timers) > _FEW + 2 * (len(self._awaited) + len(self._unawaited)):
            self._sweep()
        self._update_deadline()

    def _sweep(self) -> None:
        """Leaves out those that were cancelled. What comes meanwhile comes to the new heap, which nobody replaces."""
        before, self._timers = self._timers, []
        done = 0
        try:
            for entry in before:
                done += 1  # up to the end of the push nobody else comes in
                if entry[2]._callback is None:
                    continue
                heappush(self._timers, entry)
        except BaseException:  # of a signal's handler
            for entry in before[done:]:
                heappush(self._timers, entry)
            self._update_deadline()
            raise

    def _drop_cancelled(self) -> None:
        timers = self._timers
        while timers and timers[0][2]._callback is None:
            heappop(timers)

    def _update_deadline(self) -> None:
        """Tells the engine of the next timer, if that is another one than it knows of."""
        while True:
            self._drop_cancelled()
            timers = self._timers
            deadline = timers[0][0] if timers and timers[0][0] != math.inf else None
            if deadline == self._deadline or self.closed:
                return
            self._deadline = deadline
            self._set_deadline(deadline)  # and look again: a handler may have come in with another one

"""Timers and calls from other threads, over an engine that only takes notes."""

from __future__ import annotations

import decimal
import fractions
import gc
import math
import threading
import weakref
from collections.abc import Callable
from typing import Any

import pytest

from serversocket.loop import timers
from serversocket.loop.timers import Scheduler


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


class Recorder(Scheduler):
    """The engine's side of a reactor."""

    def __init__(self, *_arguments: object) -> None:
        # Without super().__init__(): what a careless subclass forgets.
        self.deadlines: list[float | None] = []
        self.wakes = 0
        self.reports: list[tuple[Exception, object]] = []
        self.closed = False
        self.foreign = False

    def _set_deadline(self, when: float | None) -> None:
        self.deadlines.append(when)

    def _wake(self) -> None:
        self.wakes += 1

    def _check_thread(self) -> None:
        if self.foreign:
            raise RuntimeError("another thread")

    def _report(self, exception: Exception, source: object) -> None:
        self.reports.append((exception, source))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(timers, "time", clock)
    return clock


@pytest.fixture
def reactor(clock: Clock) -> Recorder:
    return Recorder("an argument for __init__ alone")


# -------------------------------------------------------------------------------------------------- timers


def test_a_timer_runs_when_it_is_due(reactor: Recorder, clock: Clock) -> None:
    calls: list[object] = []
    handle = reactor.call_later(5, calls.append, "due")
    assert reactor.deadlines == [1005.0]
    assert (handle.when, handle.cancelled, reactor._has_scheduled) == (1005.0, False, True)
    assert reactor._run_timers() == 0
    clock.now = 1005.0
    assert reactor._run_timers() == 1
    assert calls == ["due"]
    assert reactor.deadlines[-1] is None
    assert not reactor._has_scheduled


def test_timers_run_in_order_of_time_and_then_of_call(reactor: Recorder, clock: Clock) -> None:
    calls: list[str] = []
    for seconds, name in ((3, "c"), (1, "a"), (3, "d"), (2, "b"), (-7, "first")):
        reactor.call_later(seconds, calls.append, name)
    clock.now += 3
    assert reactor._run_timers() == 5
    assert calls == ["first", "a", "b", "c", "d"]


def test_the_deadline_is_told_only_when_it_changes(reactor: Recorder) -> None:
    reactor.call_later(5, print)
    reactor.call_later(9, print)
    reactor.call_later(2, print).cancel()
    assert reactor.deadlines == [1005.0, 1002.0, 1005.0]


def test_the_deadline_is_told_again_after_it_passed(reactor: Recorder, clock: Clock) -> None:
    def quit_() -> None:
        raise SystemExit

    reactor.call_later(1, quit_)
    reactor.call_later(1, print)
    clock.now += 1
    with pytest.raises(SystemExit):
        reactor._run_timers()
    assert reactor.deadlines == [1001.0, 1001.0]


def test_a_timer_that_sets_itself_anew_waits_for_the_next_turn(reactor: Recorder) -> None:
    calls: list[int] = []

    def again() -> None:
        calls.append(len(calls))
        reactor.call_later(0, again)

    reactor.call_later(0, again)
    reactor.call_later(0, calls.append, -1)
    assert reactor._run_timers() == 2
    assert calls == [0, -1]
    assert reactor._run_timers() == 1


def test_a_cancelled_timer_is_never_called(reactor: Recorder, clock: Clock) -> None:
    handle = reactor.call_later(1, pytest.fail)
    handle.cancel()
    handle.cancel()
    assert handle.cancelled
    assert reactor.deadlines == [1001.0, None]
    assert not reactor._has_scheduled
    clock.now += 2
    assert reactor._run_timers() == 0


def test_a_timer_can_cancel_another_that_is_due_too(reactor: Recorder) -> None:
    handles = []
    reactor.call_later(0, lambda: handles[0].cancel())
    handles.append(reactor.call_later(0, pytest.fail))
    assert reactor._run_timers() == 1
    assert not reactor._has_scheduled
    assert not reactor.reports


def test_cancelling_after_the_call_does_nothing(reactor: Recorder) -> None:
    handle = reactor.call_later(0, lambda: None)
    reactor._run_timers()
    reactor.foreign = True
    handle.cancel()
    assert not handle.cancelled


def test_a_timer_can_cancel_itself(reactor: Recorder) -> None:
    handles = []
    handles.append(reactor.call_later(0, lambda: handles[0].cancel()))
    assert reactor._run_timers() == 1
    assert not handles[0].cancelled
    assert not reactor.reports


def test_what_a_timer_raises_is_reported_and_the_others_run(reactor: Recorder) -> None:
    error = ValueError("mine")

    def fail() -> None:
        raise error

    calls: list[int] = []
    reactor.call_later(0, fail)
    reactor.call_later(0, calls.append, 1)
    assert reactor._run_timers() == 2
    assert calls == [1]
    assert reactor.reports == [(error, fail)]


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_passes_and_nothing_is_lost(reactor: Recorder, kind: type[BaseException]) -> None:
    def leave() -> None:
        raise kind

    calls: list[int] = []
    reactor.call_later(0, leave)
    reactor.call_later(0, calls.append, 1)
    with pytest.raises(kind):
        reactor._run_timers()
    assert (calls, reactor.deadlines[-1], reactor._has_scheduled) == ([], 1000.0, True)
    assert reactor._run_timers() == 1
    assert calls == [1]


@pytest.mark.parametrize("seconds", [0, 0.5, -1, -math.inf, True + 1, fractions.Fraction(1, 2), decimal.Decimal("0.5")])
def test_seconds(reactor: Recorder, seconds: Any) -> None:
    assert reactor.call_later(seconds, print).when == 1000.0 + max(float(seconds), 0.0)


def test_a_vast_number_below_zero_is_now(reactor: Recorder) -> None:
    assert reactor.call_later(-(10**400), print).when == 1000.0


@pytest.mark.parametrize("seconds", [math.inf, 10**400])
def test_infinity_is_never(reactor: Recorder, seconds: float, clock: Clock) -> None:
    handle = reactor.call_later(seconds, pytest.fail)
    assert reactor.deadlines == []
    assert reactor._has_scheduled
    clock.now = 1e300
    assert reactor._run_timers() == 0
    handle.cancel()
    assert not reactor._has_scheduled


@pytest.mark.parametrize("seconds", ["1", None, b"", [], 1j, True])
def test_seconds_of_the_wrong_type(reactor: Recorder, seconds: Any) -> None:
    with pytest.raises(TypeError, match="seconds must be a number"):
        reactor.call_later(seconds, print)
    assert not reactor._has_scheduled


def test_seconds_that_are_no_number(reactor: Recorder) -> None:
    with pytest.raises(ValueError, match="nan"):
        reactor.call_later(math.nan, print)


def test_what_cannot_be_called(reactor: Recorder) -> None:
    with pytest.raises(TypeError, match="callback must be callable"):
        reactor.call_later(0, None)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="callback must be callable"):
        reactor.call_soon_threadsafe("x")  # type: ignore[arg-type]
    assert not reactor._has_scheduled


def test_another_thread_must_not_touch_timers(reactor: Recorder) -> None:
    handle = reactor.call_later(1, print)
    reactor.foreign = True
    with pytest.raises(RuntimeError, match="another thread"):
        reactor.call_later(1, print)
    with pytest.raises(RuntimeError, match="another thread"):
        handle.cancel()
    assert not handle.cancelled


def test_a_closed_reactor_takes_nothing_more(reactor: Recorder) -> None:
    handle = reactor.call_later(1, print)
    reactor.closed = True
    with pytest.raises(RuntimeError, match="closed"):
        reactor.call_later(1, print)
    with pytest.raises(RuntimeError, match="closed"):
        reactor.call_soon_threadsafe(print)
    told = list(reactor.deadlines)
    handle.cancel()
    assert reactor.deadlines == told


def test_cancelled_timers_take_no_memory(reactor: Recorder) -> None:
    kept = reactor.call_later(10_000, print)
    for seconds in range(10_000):
        reactor.call_later(seconds + 20_000, print).cancel()
    assert len(reactor._timers) < 200
    assert reactor._has_scheduled
    kept.cancel()
    assert not reactor._has_scheduled


# ---------------------------------------------------------------------------------------- what `run` waits for


@pytest.mark.parametrize("call", ["call_later", "call_every"])
def test_a_timer_that_run_does_not_wait_for(reactor: Recorder, clock: Clock, call: str) -> None:
    calls: list[int] = []
    handle = getattr(reactor, call)(5, calls.append, 1)
    assert handle.has_ref()
    assert handle.unref() is handle
    assert handle.unref() is handle
    assert (handle.has_ref(), reactor._has_scheduled) == (False, False)
    clock.now += 5
    assert reactor._run_timers() == 1  # it is called all the same
    assert calls == [1]
    assert not reactor._has_scheduled


@pytest.mark.parametrize("call", ["call_later", "call_every"])
def test_and_does_again(reactor: Recorder, call: str) -> None:
    handle = getattr(reactor, call)(5, print)
    assert handle.unref().ref() is handle
    assert handle.ref() is handle
    assert (handle.has_ref(), reactor._has_scheduled) == (True, True)
    handle.cancel()
    assert (handle.has_ref(), reactor._has_scheduled) == (False, False)


@pytest.mark.parametrize("awaited", [True, False])
@pytest.mark.parametrize("end", ["cancel", "call", "drop"])
def test_what_is_over_stays_over(reactor: Recorder, clock: Clock, end: str, awaited: bool) -> None:
    handle = reactor.call_later(5, int)
    if not awaited:
        handle.unref()
    if end == "cancel":
        handle.cancel()
    elif end == "call":
        clock.now += 5
        reactor._run_timers()
    else:
        reactor._drop_scheduled()
    reactor.foreign = True  # and in any thread
    assert handle.ref() is handle.unref() is handle.ref() is handle
    reactor.foreign = False
    assert (handle.has_ref(), reactor._has_scheduled) == (False, False)
    assert not reactor._awaited | reactor._unawaited


def test_a_timer_may_let_go_of_itself_and_of_others(reactor: Recorder, clock: Clock) -> None:
    handle = reactor.call_every(1, lambda: (handle.unref(), once.ref()))
    once = reactor.call_later(9, print).unref()
    clock.now += 1
    assert reactor._run_timers() == 1
    assert (handle.has_ref(), once.has_ref()) == (False, True)


def test_many_that_nobody_waits_for_are_not_swept_out(reactor: Recorder) -> None:
    kept = [reactor.call_later(1000 + number, print).unref() for number in range(1000)]
    before = reactor._timers
    for _ in range(200):
        reactor.call_later(5000, print).cancel()
    assert reactor._timers is before  # no sweep, which would cost as much as there are timers, each time
    assert len(reactor._timers) >= len(kept)


def test_another_thread_must_not_say_what_run_waits_for(reactor: Recorder) -> None:
    handle, other = reactor.call_later(1, print), reactor.call_later(1, print).unref()
    reactor.foreign = True
    with pytest.raises(RuntimeError, match="another thread"):
        handle.unref()
    with pytest.raises(RuntimeError, match="another thread"):
        other.ref()
    assert (handle.has_ref(), other.has_ref()) == (True, False)


def test_the_engine_that_cannot_keep_the_time_gets_no_promise(
    reactor: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(when: float | None) -> None:
        if when is not None:
            raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(reactor, "_set_deadline", fail)
        with pytest.raises(RuntimeError, match="can't start new thread"):
            reactor.call_later(5, print)
    assert not reactor._has_scheduled
    handle = reactor.call_later(5, print)
    assert reactor.deadlines == [1005.0]
    handle.cancel()


class _Payload:
    def __call__(self) -> None: ...


@pytest.mark.parametrize(
    "end", [lambda reactor, handle: handle.cancel(), lambda reactor, handle: reactor._run_timers()]
)
def test_a_handle_keeps_nothing_alive_after_its_end(reactor: Recorder, end: Callable[..., object]) -> None:
    payload = _Payload()
    watch = weakref.ref(payload)
    handle = reactor.call_later(0, payload)
    end(reactor, handle)
    del payload
    gc.collect()
    assert watch() is None


def test_dropping_everything(reactor: Recorder) -> None:
    payload = _Payload()
    watch = weakref.ref(payload)
    handle = reactor.call_later(1, payload)
    reactor.call_soon_threadsafe(payload)
    reactor._drop_scheduled()
    del payload
    assert watch() is None
    assert not reactor._has_scheduled
    handle.cancel()


def test_the_repr_tells_the_state(reactor: Recorder) -> None:
    waiting, cancelled, done = (reactor.call_later(0, lambda: None) for _ in range(3))
    cancelled.cancel()
    assert repr(waiting) == "<TimerHandle waiting when=1000.000>"
    reactor._run_timers()
    assert repr(cancelled) == "<TimerHandle cancelled when=1000.000>"
    assert repr(done) == "<TimerHandle done when=1000.000>"


# ------------------------------------------------------------------------------------ calls from other threads


def test_calls_run_in_order_and_wake_the_reactor(reactor: Recorder) -> None:
    calls: list[int] = []
    for number in range(3):
        reactor.call_soon_threadsafe(calls.append, number)
    assert (reactor.wakes, reactor._has_scheduled, calls) == (3, True, [])
    assert reactor._run_calls() == 3
    assert (calls, reactor._has_scheduled) == ([0, 1, 2], False)


def test_a_call_that_calls_again_waits_for_the_next_turn(reactor: Recorder) -> None:
    calls: list[int] = []

    def again() -> None:
        calls.append(0)
        reactor.call_soon_threadsafe(again)

    reactor.call_soon_threadsafe(again)
    assert reactor._run_calls() == 1
    assert reactor._has_scheduled
    assert reactor.wakes == 2


def test_what_a_call_raises_is_reported_and_the_others_run(reactor: Recorder) -> None:
    calls: list[int] = []
    reactor.call_soon_threadsafe(lambda: 1 / 0)
    reactor.call_soon_threadsafe(calls.append, 1)
    assert reactor._run_calls() == 2
    assert calls == [1]
    assert [type(error) for error, _ in reactor.reports] == [ZeroDivisionError]


def test_what_ends_a_program_leaves_the_other_calls_for_the_next_turn(reactor: Recorder) -> None:
    def leave() -> None:
        raise KeyboardInterrupt

    calls: list[int] = []
    reactor.call_soon_threadsafe(leave)
    reactor.call_soon_threadsafe(calls.append, 1)
    with pytest.raises(KeyboardInterrupt):
        reactor._run_calls()
    assert reactor._run_calls() == 1
    assert calls == [1]


def test_calls_from_many_threads_all_arrive(reactor: Recorder) -> None:
    reactor.foreign = True
    calls: list[int] = []

    def work() -> None:
        for number in range(500):
            reactor.call_soon_threadsafe(calls.append, number)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads) or reactor._has_scheduled:
        reactor._run_calls()
    for thread in threads:
        thread.join()
    assert sorted(calls) == sorted([*range(500)] * 8)


def test_the_actionscript_names(reactor: Recorder) -> None:
    assert reactor.callLater.__func__ is Scheduler.call_later  # type: ignore[attr-defined]
    assert reactor.callSoonThreadsafe.__func__ is Scheduler.call_soon_threadsafe  # type: ignore[attr-defined]
    assert timers.TimerHandle.hasRef is timers.TimerHandle.has_ref  # type: ignore[attr-defined]

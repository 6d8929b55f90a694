"""`Reactor.call_every`: calls that come again and again."""

from __future__ import annotations

import math
import signal
import sys
import time

import pytest

from serversocket import Reactor

from .helpers import PATIENCE, on_posix, python, run_until


@pytest.fixture
def reactor():
    reactor = Reactor()
    yield reactor
    reactor.close()


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test turns."""

    class Clock:
        now = 1000.0

        def monotonic(self):
            return self.now

    clock = Clock()
    monkeypatch.setattr("serversocket.loop.timers.time", clock)
    return clock


def test_it_is_called_until_it_is_cancelled(reactor):
    seen = []

    def call(*arguments):
        seen.append(arguments)
        if len(seen) == 3:
            handle.cancel()

    handle = reactor.call_every(0.001, call, "a", 2)
    assert not handle.cancelled
    reactor.run()  # returns, because nothing is left then
    assert seen == [("a", 2)] * 3
    assert handle.cancelled
    handle.cancel()


def test_the_first_call_comes_after_a_period(reactor, clock):
    seen = []
    reactor.callEvery(10, lambda: seen.append(clock.now))
    reactor._run_timers()
    clock.now += 9.99
    reactor._run_timers()
    assert seen == []
    clock.now += 0.01
    reactor._run_timers()
    assert seen == [1010.0]


def test_times_do_not_drift_and_missed_ones_are_left_out(reactor, clock):
    seen = []
    handle = reactor.call_every(10, lambda: seen.append(clock.now))
    for clock.now in (1013.0, 1019.9, 1020.5, 1055.0, 1059.9, 1060.0, 1060.0):
        reactor._run_timers()
        assert handle.when % 10 == 0
        assert clock.now < handle.when <= clock.now + 10
    assert seen == [1013.0, 1020.5, 1055.0, 1060.0]


def test_one_turn_makes_one_call_however_short_the_period(reactor, clock):
    seen = []
    reactor.call_every(1e-300, seen.append, 1)
    clock.now += 1
    for _ in range(3):
        reactor._run_timers()
        clock.now += 1e-9
    assert 1 <= len(seen) <= 3


def test_a_callback_that_raises_is_called_again(reactor):
    errors = []
    reactor.add_event_listener("uncaughtError", lambda event: errors.append(event.error))
    handle = reactor.call_every(0.001, lambda: 1 / 0)
    run_until(reactor, lambda: len(errors) >= 3)
    handle.cancel()
    assert {type(error) for error in errors} == {ZeroDivisionError}


def test_what_leaves_the_reactor_does_not_end_it(reactor):
    seen = []

    def interrupt():
        seen.append(1)
        if len(seen) == 1:
            raise KeyboardInterrupt

    reactor.call_every(0.001, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_until(reactor, lambda: False)
    run_until(reactor, lambda: len(seen) >= 3)


def test_cancelled_by_another_timer_of_the_same_moment(reactor, clock):
    seen = []
    reactor.call_every(10, lambda: other.cancel())
    other = reactor.call_every(10, seen.append, 1)
    clock.now += 10
    reactor._run_timers()
    clock.now += 10
    reactor._run_timers()
    assert seen == []


def test_many_that_are_cancelled_leave_nothing(reactor):
    for _ in range(1000):
        reactor.call_every(1000, print).cancel()
    assert len(reactor._timers) < 200
    start = time.monotonic()
    reactor.run()
    assert time.monotonic() - start < PATIENCE


def test_run_does_not_wait_for_one_without_a_reference(reactor):
    seen = []
    handle = reactor.call_every(0.001, seen.append, 1).unref()
    late = reactor.call_later(1000, seen.append, 2).unref()
    reactor.run()  # returns at once
    assert seen == []
    reactor.call_later(0.02, lambda: None)
    reactor.run()  # returns when that was called, and calls the other one meanwhile
    assert set(seen) == {1}
    assert late.unref().ref().has_ref()
    late.cancel()
    handle.ref()
    before = len(seen)
    reactor.call_every(0.001, lambda: len(seen) > before + 3 and handle.unref()).unref()
    reactor.run()  # until nothing has a reference any more
    assert len(seen) > before + 3


def test_closing_the_reactor_ends_it():
    reactor = Reactor()
    handle = reactor.call_every(0.001, print)
    reactor.close()
    assert repr(handle).startswith("<TimerHandle done")
    handle.cancel()


@pytest.mark.parametrize("seconds", [0, -1, 0.0, math.inf, -math.inf, math.nan, 10**400])
def test_periods_that_are_none(reactor, seconds):
    with pytest.raises(ValueError, match="seconds"):
        reactor.call_every(seconds, print)
    reactor.run()


@pytest.mark.parametrize("seconds", ["1", None, True, 1j, b"1"])
def test_periods_of_a_wrong_type(reactor, seconds):
    with pytest.raises(TypeError, match="seconds must be a number of seconds"):
        reactor.call_every(seconds, print)


def test_bad_callbacks(reactor):
    with pytest.raises(TypeError, match="callback must be callable"):
        reactor.call_every(1, None)


def test_after_close():
    reactor = Reactor()
    reactor.close()
    with pytest.raises(RuntimeError, match="closed"):
        reactor.call_every(1, print)


@on_posix
def test_interrupts_lose_no_timer_and_no_call():
    """A signal's handler may raise between any two lines of the package."""
    python(
        """
        import signal, time, warnings
        import serversocket
        warnings.simplefilter("ignore", ResourceWarning)  # socketpair() is interrupted too
        reactor = serversocket.Reactor()
        def interrupt(number, frame):
            raise KeyboardInterrupt
        signal.signal(signal.SIGALRM, interrupt)
        handles = [reactor.call_every(0.0001, int) for _ in range(50)]
        once, calls, made = [], [], []
        interrupts, end = 0, time.monotonic() + 1.5
        while time.monotonic() < end or interrupts < 100:
            for _ in range(20):
                once.append(reactor.call_later(0, int))
                reactor.call_soon_threadsafe(int)
            try:
                signal.setitimer(signal.ITIMER_REAL, 0.0001 + interrupts % 97 * 1e-6)
                reactor.run()
            except KeyboardInterrupt:
                interrupts += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
        left = [entry[2] for entry in reactor._timers]
        assert all(left.count(handle) == 1 for handle in handles)
        for handle in handles:
            handle.cancel()
        reactor.run()
        assert all("done" in repr(handle) for handle in once), [handle for handle in once if "done" not in repr(handle)]
        assert not reactor._has_scheduled
        reactor.close()
        """
    )


@on_posix
def test_a_handler_that_schedules_while_cancelled_timers_are_swept_out_is_heard():
    reactor = Reactor()
    called = []
    handles = [reactor.call_later(100, print) for _ in range(200)]
    previous = signal.signal(signal.SIGUSR1, lambda number, frame: reactor.call_later(0, called.append, 1))
    pushes = 0

    def profile(frame, event, argument):
        nonlocal pushes
        if event == "c_return" and getattr(argument, "__name__", "") == "heappush":
            pushes += 1
            signal.raise_signal(signal.SIGUSR1)

    try:
        sys.setprofile(profile)
        for handle in handles[:20:-1]:
            handle.cancel()
        sys.setprofile(None)
        assert pushes > 0
        before = pushes
        while len(called) < before:
            assert reactor.poll(1), (len(called), before)
        assert sum(not entry[2].cancelled for entry in reactor._timers) == 21
    finally:
        sys.setprofile(None)
        signal.signal(signal.SIGUSR1, previous)
        reactor.close()


@pytest.mark.parametrize("period", [5e-324, 1e-320, 1e-15, 1e-9])
def test_a_period_too_short_to_count_what_was_missed(reactor, period):
    seen, others = [], []
    handle = reactor.call_every(period, seen.append, 1)
    reactor.call_every(0.001, others.append, 1)
    run_until(reactor, lambda: len(seen) > 10 and len(others) > 3)
    handle.cancel()

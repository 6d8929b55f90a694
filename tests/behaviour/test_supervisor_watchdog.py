"""A worker whose reactor does not turn is killed and replaced; one that works, or sleeps with its machine, is not."""

from __future__ import annotations

import os
import signal
import time
from types import SimpleNamespace

import pytest

from serversocket.workers import process
from serversocket.workers.process import Clock, Phase, Place, Process

from .helpers import PATIENCE, on_linux
from .supervising import answer, state, supervised, until

__all__ = ["supervised"]  # a fixture
pytestmark = on_linux

STUCK = r"its reactor has not turned for 1 seconds"
SETUPS = {
    "events": """
        def setup(server):
            server.add_event_listener("connect", connected)
        """,
    "coroutines": """
        async def setup(server):
            server.add_event_listener("connect", connected)
        """,
}
# What a client sends is what the worker does.
OBEDIENT = """
        def echo(event):
            exec(event.target.read().decode())
"""


@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("how", ["os.kill(os.getpid(), signal.SIGSTOP)", "time.sleep(1000)", "sum(range(10**15))"])
def test_one_that_is_stopped_or_stuck_is_killed_and_replaced(supervised, setup, how):
    it = supervised(OBEDIENT + SETUPS[setup] + 'run(Supervisor(setup, 0, "127.0.0.1", workers=1, watchdog=1))')
    it.started()
    with it.connect() as client:
        pid = client.pid
        client.sendall(how.encode())
        it.line(rf"worker 1 \(pid {pid}\) is killed: {STUCK}; the next one starts in ")
        it.tells(rf"worker 1 \(pid {pid}\) ended: SIGKILL")
        assert client.recv(1) == b""
    assert answer(it.port, PATIENCE) != pid
    assert it.ends() == 0


@pytest.mark.parametrize("setup", SETUPS)
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_one_that_finishes_its_connections_is_watched_too(supervised, setup, number):
    it = supervised(
        OBEDIENT + SETUPS[setup] + 'run(Supervisor(setup, 0, "127.0.0.1", workers=1, watchdog=1, grace=1000))'
    )
    it.started()
    with it.connect() as client:
        pid = client.pid
        it.send(number)
        if number == signal.SIGHUP:
            it.started()
        else:
            it.line("the workers are told to end")
        client.sendall(b"time.sleep(1000)")
        it.tells(rf"worker 1 \(pid {pid}\) is killed: {STUCK}$")
        it.tells(rf"worker 1 \(pid {pid}\) ended: SIGKILL")
    assert it.ends(signal.SIGTERM if number == signal.SIGHUP else None) == 0


def test_those_that_work_and_those_that_have_nothing_to_do_are_left_alone(supervised):
    it = supervised('run(Supervisor(setup, 0, "127.0.0.1", workers=2, watchdog=2))')
    pids = set(it.all_started())
    with it.connect() as client:
        busy = client.pid
        end = time.monotonic() + 4
        while time.monotonic() < end:
            assert client.echoes()
        it.send(signal.SIGHUP)
        new = {it.started(1), it.started(2)}
        assert client.echoes()
    it.tells(rf"worker \d \(pid {busy}\) ended: exit status 0")
    assert not new & pids
    assert it.ends() == 0
    assert "killed" not in it.log


def test_without_it_nobody_is_watched(supervised):
    it = supervised('run(Supervisor(setup, 0, "127.0.0.1", workers=1))')
    pid = it.started()
    os.kill(pid, signal.SIGSTOP)
    client = it.connect()
    it.send(signal.SIGHUP)
    assert client.pid == it.started() != pid  # nobody else has an eye on it
    client.close()
    os.kill(pid, signal.SIGCONT)
    it.line(rf"worker 1 \(pid {pid}\) ended: exit status 0")
    assert it.ends() == 0


def test_supervisor_and_workers_that_are_stopped_together_go_on_together(supervised):
    """As by Ctrl-Z, by a debugger, and on a machine that is paused."""
    it = supervised('run(Supervisor(setup, 0, "127.0.0.1", workers=2, watchdog=2))')
    pids = it.all_started()
    with it.connect() as client:
        assert client.pid in pids
        os.killpg(it.process.pid, signal.SIGSTOP)
        until(lambda: {state(pid) for pid in [*pids, it.process.pid]} == {"T"}, "all of them are stopped")
        time.sleep(4)  # what has to pass is more than any of them may be silent
        os.killpg(it.process.pid, signal.SIGCONT)
        for _ in range(10):
            assert client.echoes()
            time.sleep(0.05)
    assert it.ends() == 0
    assert "killed" not in it.log


# ----------------------------------------------------------------------------------------- by a clock of the test's


class Fake:
    """A worker that speaks when it is told to, and a clock that is set by hand."""

    def __init__(self, monkeypatch, *, watchdog=4.0, start_timeout=60.0):
        self.time = 1000.0
        monkeypatch.setattr(process, "time", SimpleNamespace(monotonic=lambda: self.time))
        self.clock = Clock()
        self.place = Place(1, -1)
        self.process = Process(self.place, self.clock, start_timeout, watchdog)

    def speak(self):
        os.write(self.process._status.writing, b"\0")
        self.process.hear()

    def serve(self):
        self.speak()
        self.process.serve()

    def waits(self, seconds, planned):
        self.time += seconds
        self.clock.advance(planned)


@pytest.fixture
def fake(monkeypatch):
    made = Fake(monkeypatch)
    yield made
    made.process.close()


def test_it_is_silent_once_a_whole_watchdog_has_passed_since_its_next_word_was_due(fake):
    fake.serve()
    fake.waits(4.9, 4.9)
    assert not fake.process.is_silent  # it may have turned 3.9 seconds ago
    fake.waits(0.2, 0.2)
    assert fake.process.is_silent
    fake.speak()
    assert not fake.process.is_silent


def test_who_waits_for_it_looks_at_the_clock_often_enough(fake):
    assert fake.process.next_look() == 15  # a quarter of the time to start
    fake.serve()
    assert fake.process.next_look() == 1
    fake.waits(4.9, 4.9)
    assert fake.process.next_look() == pytest.approx(0.1)


def test_time_that_nobody_was_awake_for_does_not_count(fake):
    fake.serve()
    fake.waits(100_000, 1)
    assert fake.clock.now == 1
    assert not fake.process.is_silent
    assert not fake.process.is_overdue


def test_one_that_is_killed_is_killed_again_from_time_to_time_only(fake):
    fake.serve()
    fake.waits(10, 10)
    assert fake.process.is_silent
    fake.process.kill()
    assert fake.process.phase is Phase.KILLED
    assert not fake.process.is_silent
    assert not fake.process.is_overdue
    fake.speak()  # what was in its pipe
    assert not fake.process.is_silent
    fake.waits(10, 10)
    assert fake.process.is_overdue

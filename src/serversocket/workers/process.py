"""What a supervisor has of each worker process: pipes to it, a phase, and how long it may take."""

from __future__ import annotations

import enum
import math
import os
import signal
import time
from contextlib import ExitStack, closing, suppress

from . import worker

LEAST_LIFE = 1.0  # seconds; a worker that did not live so long has died at once
FIRST_DELAY = 0.1
LONGEST_DELAY = 10.0
BEATS = 4  # of a worker that is watched, in the time that it may be silent
ADJUSTMENTS = 4  # of the clock at least, while somebody's time runs
KILL_AGAIN = 2.0  # seconds


def close(fd: int) -> None:
    with suppress(OSError):  # it is closed in any case
        os.close(fd)


class Pipe:
    """A pipe of which neither end blocks; an end that is closed in this process is -1."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()
        try:
            os.set_blocking(self.reading, False)
            os.set_blocking(self.writing, False)
        except BaseException:
            self.close()
            raise

    def close_reading(self) -> None:
        fd, self.reading = self.reading, -1
        if fd >= 0:
            close(fd)

    def close_writing(self) -> None:
        fd, self.writing = self.writing, -1
        if fd >= 0:
            close(fd)

    def close(self) -> None:
        self.close_reading()
        self.close_writing()


class Clock:
    """The seconds for which the supervisor was awake.

    Where a machine sleeps, or Ctrl-Z stops the supervisor and its workers together, nobody's time runs out meanwhile.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._seen = time.monotonic()

    def advance(self, most: float) -> None:
        """Counts what has passed since the last call, but no more than it was meant to be."""
        seen = time.monotonic()
        self.now += min(seen - self._seen, most)
        self._seen = seen


def how_it_ended(status: int) -> str:
    """How a process ended, from what waitpid tells."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


class Phase(enum.Enum):
    """Where a process is in its life."""

    STARTING = enum.auto()  # it has not said that it accepts
    SERVING = enum.auto()
    ENDING = enum.auto()  # it was told to end
    KILLED = enum.auto()  # and has not ended yet


class Place:
    """One of the workers, whichever process it is at the time; its socket stays the same."""

    def __init__(self, number: int, listener: int) -> None:
        self.number = number
        self.listener = listener
        self.due = 0.0  # when the next process is to be started
        self.delay = 0.0

    def take_listener(self) -> int:
        """Returns the listening descriptor, which is the caller's from here on."""
        listener, self.listener = self.listener, -1
        return listener

    def close(self) -> None:
        if self.listener >= 0:
            close(self.take_listener())

    def back_off(self, lived: float, now: float) -> None:
        """Sets when the next process is to be started, after one that has lived for so many seconds."""
        doubled = min(max(2 * self.delay, FIRST_DELAY), LONGEST_DELAY)
        self.delay = doubled if lived < LEAST_LIFE else 0.0
        self.due = now + self.delay

    def __str__(self) -> str:
        return f"worker {self.number}"


class Process:
    """One process, while it starts, serves, or finishes its connections.

    Args:
        place: Whose it is.
        clock: What its time is measured by.
        start_timeout: Seconds that it has to become ready.
        watchdog: Seconds for which it may be silent afterwards; infinite where it is not watched.
    """

    def __init__(self, place: Place, clock: Clock, start_timeout: float, watchdog: float) -> None:
        self.place = place
        self.pid = 0  # before it is forked
        self.phase = Phase.STARTING
        self.ready = False
        self.kills = 0
        self._audible = True
        self._clock = clock
        self._born = clock.now
        self._watchdog = watchdog
        self._heard = math.inf  # when; of one that is watched
        self.give(start_timeout, f"it was not ready within {start_timeout:g} seconds")
        with ExitStack() as opened:
            # The system sends a signal when the writing end of its pipe is closed.
            self._signals = {
                number: opened.enter_context(closing(Pipe())) for number in (signal.SIGTERM, signal.SIGKILL)
            }
            self._status = opened.enter_context(closing(Pipe()))
            opened.pop_all()

    # ---- its pipes

    def ties(self) -> worker.Ties:
        """In the worker: closes what is the supervisor's, and returns the rest."""
        for pipe in self._signals.values():
            pipe.close_writing()
        self._status.close_reading()
        beat = self._watchdog / BEATS
        return worker.Ties({number: pipe.reading for number, pipe in self._signals.items()}, self._status.writing, beat)

    def keep(self) -> None:
        """In the supervisor: closes what is the worker's."""
        for pipe in self._signals.values():
            pipe.close_reading()
        self._status.close_writing()

    def close(self) -> None:
        for pipe in self._signals.values():
            pipe.close()
        self._status.close()

    @property
    def status(self) -> int:
        """The descriptor by which it says that it is ready and alive; -1 where it is not listened to any more."""
        return self._status.reading if self._audible else -1

    def hear(self) -> None:
        """Reads what it has said.

        Raises:
            OSError: The pipe cannot be read. It is not listened to any more: what was there is taken for its word.
            BlockingIOError, InterruptedError: There is nothing now.
        """
        try:
            said = os.read(self._status.reading, 4096)
        except (BlockingIOError, InterruptedError):
            raise
        except OSError:
            self._audible = False  # the descriptor stays: a worker that speaks on must not get SIGPIPE
            self._spoke(math.inf)
            raise
        if said:
            self._spoke(self._clock.now if self._watchdog < math.inf else math.inf)
        else:
            self._heard = math.inf  # it will say nothing more, so its silence means nothing
            self._status.close_reading()

    def _spoke(self, now: float) -> None:
        self.ready = True
        if self.phase is not Phase.KILLED:
            self._heard = now

    # ---- its time

    @property
    def age(self) -> float:
        """Seconds since it was started."""
        return self._clock.now - self._born

    @property
    def may_be_stuck(self) -> bool:
        """Returns True if it should be ready by now."""
        return not self.ready and self.age >= LEAST_LIFE

    def give(self, seconds: float, verdict: str) -> None:
        """From now on it has so many seconds for what it does; afterwards this is what is to be said."""
        self._limit = seconds
        self._deadline = self._clock.now + seconds
        self.verdict = verdict

    def serve(self) -> None:
        """It is ready, and has all the time that it wants."""
        self.phase = Phase.SERVING
        self.give(math.inf, "")

    @property
    def is_overdue(self) -> bool:
        """Returns True if its time is over."""
        return self._deadline <= self._clock.now

    @property
    def is_silent(self) -> bool:
        """Returns True if it is watched, and has not spoken for too long: the time between two beats comes on top."""
        return self._heard + self._patience <= self._clock.now

    @property
    def _patience(self) -> float:
        return self._watchdog * (1 + 1 / BEATS)

    def next_look(self) -> float:
        """Returns in how many seconds somebody has to look at it, or at the clock."""
        now = self._clock.now
        watched = self._heard < math.inf
        return min(
            self._deadline - now,
            self._limit / ADJUSTMENTS,
            self._heard + self._patience - now if watched else math.inf,
            self._watchdog / ADJUSTMENTS if watched else math.inf,
        )

    # ---- its end

    def tell_to_end(self, grace: float, verdict: str) -> None:
        """It has so many seconds for its open connections; as long as it is not ready, no more than before."""
        self.phase = Phase.ENDING
        if self.ready or self._clock.now + grace < self._deadline:
            self.give(grace, verdict)
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Kills it, again if need be.

        Raises:
            OSError: The system refuses that, and it may be that it lives on.
        """
        self.phase = Phase.KILLED
        self.kills += 1
        self._heard = math.inf
        self.give(KILL_AGAIN, "it lives on")
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        """Sends a signal, or has the system send it where the supervisor may not: to a worker with another user."""
        pipe = self._signals[number]
        try:
            if self.pid:
                os.kill(self.pid, number)
            else:  # it is not known whether it was forked
                pipe.close_writing()
        except ProcessLookupError:
            pass  # somebody else has waited for it
        except OSError:
            if pipe.writing < 0:
                raise
            pipe.close_writing()

    def __str__(self) -> str:
        return f"{self.place} (pid {self.pid})"

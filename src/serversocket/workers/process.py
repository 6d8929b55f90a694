"""A supervisor's view of each worker process: its pipes, its phase and its deadline."""

from __future__ import annotations

import enum
import math
import os
import signal
import time
from contextlib import ExitStack, closing, suppress

from . import worker

LEAST_LIFE = 1.0  # seconds; a worker with a shorter life counts as failed at the start
FIRST_DELAY = 0.1
LONGEST_DELAY = 10.0
BEATS = 4  # heartbeats of a watched worker per watchdog timeout
ADJUSTMENTS = 4  # how often the clock is read at least, while a deadline is running
KILL_AGAIN = 2.0  # seconds


def close(fd: int) -> None:
    with suppress(OSError):  # it is closed in any case
        os.close(fd)


class Pipe:
    """A pipe with non-blocking ends; an end that is closed in this process is -1."""

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
    """Counts the seconds for which the supervisor was awake.

    So no deadline expires while a machine is suspended, or while Ctrl-Z stops the supervisor with its workers.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._seen = time.monotonic()

    def advance(self, most: float) -> None:
        """Adds the time since the last call, but not more than was planned."""
        seen = time.monotonic()
        self.now += min(seen - self._seen, most)
        self._seen = seen


def how_it_ended(status: int) -> str:
    """Returns in words how a process ended, from the status of waitpid."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


class Phase(enum.Enum):
    """The phase of a process's life."""

    STARTING = enum.auto()  # it has not reported yet that it accepts
    SERVING = enum.auto()
    ENDING = enum.auto()  # it was told to end
    KILLED = enum.auto()  # it was killed, and has not exited yet


class Place:
    """One of the workers. Its process may be replaced; its socket stays the same."""

    def __init__(self, number: int, listener: int) -> None:
        self.number = number
        self.listener = listener
        self.due = 0.0  # when the next process is to be started
        self.delay = 0.0

    def take_listener(self) -> int:
        """Returns the listening descriptor, which the caller owns from then on."""
        listener, self.listener = self.listener, -1
        return listener

    def close(self) -> None:
        if self.listener >= 0:
            close(self.take_listener())

    def back_off(self, lived: float, now: float) -> None:
        """Sets when the next process is to be started, after one that lived for `lived` seconds."""
        doubled = min(max(2 * self.delay, FIRST_DELAY), LONGEST_DELAY)
        self.delay = doubled if lived < LEAST_LIFE else 0.0
        self.due = now + self.delay

    def __str__(self) -> str:
        return f"worker {self.number}"


class Process:
    """A process, while it starts, serves, or drains its connections.

    Args:
        place: The place that it serves.
        clock: The clock for its deadlines.
        start_timeout: Seconds that it has to become ready.
        watchdog: Seconds for which it may be silent afterwards; infinite if it is not watched.
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
        self._heard = math.inf  # when it last reported, if it is watched
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
        """Closes the supervisor's ends, in the worker, and returns the others."""
        for pipe in self._signals.values():
            pipe.close_writing()
        self._status.close_reading()
        beat = self._watchdog / BEATS
        return worker.Ties({number: pipe.reading for number, pipe in self._signals.items()}, self._status.writing, beat)

    def keep(self) -> None:
        """Closes the worker's ends, in the supervisor."""
        for pipe in self._signals.values():
            pipe.close_reading()
        self._status.close_writing()

    def close(self) -> None:
        for pipe in self._signals.values():
            pipe.close()
        self._status.close()

    @property
    def status(self) -> int:
        """The descriptor on which it reports that it is ready and alive; -1 if it is not read any more."""
        return self._status.reading if self._audible else -1

    def hear(self) -> None:
        """Reads its reports.

        Raises:
            OSError: The pipe cannot be read. It is not read any more, and the worker counts as ready.
            BlockingIOError, InterruptedError: There is nothing to read now.
        """
        try:
            said = os.read(self._status.reading, 4096)
        except (BlockingIOError, InterruptedError):
            raise
        except OSError:
            self._audible = False  # the descriptor stays open: a worker that writes again must not get SIGPIPE
            self._spoke(math.inf)
            raise
        if said:
            self._spoke(self._clock.now if self._watchdog < math.inf else math.inf)
        else:
            self._heard = math.inf  # it has closed its end, so its silence means nothing
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
        """True if it should be ready by now."""
        return not self.ready and self.age >= LEAST_LIFE

    def give(self, seconds: float, verdict: str) -> None:
        """Sets its deadline, in seconds from now, and the text that explains it once it has expired."""
        self._limit = seconds
        self._deadline = self._clock.now + seconds
        self.verdict = verdict

    def serve(self) -> None:
        """Notes that it is ready; it has no deadline from then on."""
        self.phase = Phase.SERVING
        self.give(math.inf, "")

    @property
    def is_overdue(self) -> bool:
        """True if its deadline has expired."""
        return self._deadline <= self._clock.now

    @property
    def is_silent(self) -> bool:
        """True if it is watched and has been silent for too long: the timeout plus the time between two heartbeats."""
        return self._heard + self._patience <= self._clock.now

    @property
    def _patience(self) -> float:
        return self._watchdog * (1 + 1 / BEATS)

    def next_look(self) -> float:
        """Returns in how many seconds the process, or the clock, has to be checked."""
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
        """Tells it to drain its connections within `grace` seconds; before it is ready, its deadline gets no later."""
        self.phase = Phase.ENDING
        if self.ready or self._clock.now + grace < self._deadline:
            self.give(grace, verdict)
        self._send(signal.SIGTERM)

    def kill(self) -> None:
        """Kills it; may be repeated.

        Raises:
            OSError: The system refuses, and the process may still be alive.
        """
        self.phase = Phase.KILLED
        self.kills += 1
        self._heard = math.inf
        self.give(KILL_AGAIN, "it is still alive")
        self._send(signal.SIGKILL)

    def _send(self, number: signal.Signals) -> None:
        """Sends a signal. If the worker runs as another user, the system sends it instead, because a pipe is closed."""
        pipe = self._signals[number]
        try:
            if self.pid:
                os.kill(self.pid, number)
            else:  # the fork may or may not have happened
                pipe.close_writing()
        except ProcessLookupError:
            pass  # other code in this program has reaped it
        except OSError:
            if pipe.writing < 0:
                raise
            pipe.close_writing()

    def __str__(self) -> str:
        return f"{self.place} (pid {self.pid})"

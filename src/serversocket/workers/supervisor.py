"""`Supervisor`: worker processes that share one port, each with a reactor of its own."""

from __future__ import annotations

import math
import os
import select
import signal
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from logging import ERROR, INFO, WARNING
from typing import Any, NoReturn, Self, SupportsIndex

from .. import errors
from ..checks import as_duration
from ..naming import with_as3_names
from ..net.addresses import Host, require_reuse_port
from . import worker
from .bell import Bell, Handler
from .failures import Faults, say
from .options import parse_loop_factory, parse_workers
from .process import LEAST_LIFE, Clock, Phase, Place, Process, how_it_ended
from .shared_port import listen, whole

SUPERVISOR = "the supervisor"  # its name in the log
LONGEST_WAIT = 1e6  # seconds; the system's range is limited
__all__ = ["Supervisor"]

KILLS = 5  # of one process; a supervisor that ends then leaves it behind
LAST_KILLS = 10.0  # seconds for the kills, if the supervisor ends because of an error


@with_as3_names
class Supervisor:
    """Runs worker processes behind one port, so that a server uses all cores; Linux only. AIR has no equivalent.

    The port is bound, and clients may connect, as soon as the supervisor is made. `run` forks the workers. Each gets a
    listening socket of its own on that port, and the system distributes the connections over them. The supervisor keeps
    these sockets open too: clients that wait to be accepted by a worker that has died are accepted by the next one.

    Args:
        setup: Called in each worker with its listening `ServerSocket`, to which it adds its listeners. It may return
            a function to call when the worker is told to end, to close other things that the program has open, such as
            timers and connections to other servers. If it raises, the worker ends. A coroutine function runs in an
            asyncio loop of the worker. It may return after setting everything up, or serve until the server is closed,
            as with ``async with AsyncServer(server) as clients: await clients.serve(handler)``.
        local_port: As for `ServerSocket.bind`; 0 chooses a free port, which the property `local_port` returns.
        local_address: As for `ServerSocket.bind`.
        workers: The number of workers; ``None`` is the number of cores that this process may use.
        dual_stack: As for `ServerSocket.bind`.
        backlog: As for `ServerSocket.listen`, for each worker.
        grace: Seconds that a worker has to drain its open connections when it is told to end; then it is killed.
        start_timeout: Seconds that a worker has to become ready: for `setup` to return, or, if it is a coroutine
            function, to listen for clients. Then it is killed, and counts as one that died.
        watchdog: Seconds after which a worker is killed and replaced if its reactor does not turn, because the worker
            is stopped or stuck in a listener; ``None`` for never. Every listener has to take less than that.
        loop_factory: A function that makes the loop for a `setup` that is a coroutine function, such as
            ``uvloop.new_event_loop``; ``None`` for asyncio's own.

    Raises:
        RangeError: `local_port` is outside 0 to 65535 (#2003); `workers` is less than 1, `backlog` or `grace` is
            negative, or `start_timeout` or `watchdog` is not more than 0 (#2006).
        ArgumentError: `local_address` is not a well-formed IP address (#2004), or is IPv4 with `dual_stack`.
        IOError: The system is not Linux, or refuses: the port is taken, by another supervisor too (#2002).
        TypeError: An argument has the wrong type, or there is a `loop_factory` for a `setup` that is not a coroutine
            function.

    Example:
        >>> def setup(server):
        ...     server.add_event_listener("connect", lambda event: event.socket.write(b"hello"))
        >>> with Supervisor(setup, 0, "127.0.0.1", workers=2) as supervisor:
        ...     supervisor.workers, supervisor.local_address, supervisor.local_port > 0
        (2, '127.0.0.1', True)
    """

    def __init__(
        self,
        setup: worker.Setup,
        local_port: SupportsIndex = 0,
        local_address: Host = "0.0.0.0",
        *,
        workers: SupportsIndex | None = None,
        dual_stack: bool = False,
        backlog: SupportsIndex = 0,
        grace: float = 30.0,
        start_timeout: float = 60.0,
        watchdog: float | None = None,
        loop_factory: Callable[[], Any] | None = None,
    ) -> None:
        if not callable(setup):
            raise errors.wrong_type("setup", setup, "callable")
        count = parse_workers(workers)
        self._setup = setup
        self._grace = as_duration("grace", grace, "Supervisor", zero=True)
        self._start_timeout = as_duration("start_timeout", start_timeout, "Supervisor")
        self._watchdog = math.inf
        if watchdog is not None:
            self._watchdog = as_duration("watchdog", watchdog, "Supervisor", "a number of seconds or None")
        self._loop_factory = parse_loop_factory(loop_factory, setup)
        require_reuse_port()
        with whole() as opened:
            self._bell = Bell()
            opened.callback(self._bell.close)
            listeners, self._local_address, self._local_port = listen(
                opened, count, local_port, local_address, dual_stack, backlog
            )
        self._clock = Clock()
        self._faults = Faults()
        self._places = [Place(number, listener) for number, listener in enumerate(listeners, 1)]
        self._processes: list[Process] = []
        self._to_replace: list[Place] = []
        self._handled: deque[BaseException | None] = deque()  # exceptions of the program's signal handlers
        self._parting: BaseException | None = None  # what `run` raises at the end
        self._stopping = False
        self._running = False
        self._closed = False

    @property
    def local_address(self) -> str:
        """The IP address that the workers listen on."""
        return self._local_address

    @property
    def local_port(self) -> int:
        """The port that the workers listen on."""
        return self._local_port

    @property
    def workers(self) -> int:
        """The number of workers."""
        return len(self._places)

    def run(self) -> None:
        """Runs the workers until `stop` is called, or SIGTERM or SIGINT arrives; then everything is closed.

        SIGHUP does the same as `restart`. Ignored signals stay ignored. At the end the previous handlers are restored.
        A worker that dies is logged by the logger ``serversocket`` and replaced: at once, or if it lived for less than
        a second or was not ready, after 0.1 s, doubled each time up to 10 s.

        Failures of the supervisor itself are logged, once until they are over, and the step is tried again; they
        neither end the supervisor nor affect a worker. The same holds for exceptions of the program's handlers for
        other signals, except that `KeyboardInterrupt` and `SystemExit` do what `stop` does, and are raised at the end.

        Raises:
            RuntimeError: It has already run or is closed, or this is not the main thread, which alone gets signals.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                f"a supervisor has to run in the main thread, which gets the signals, not in "
                f"{threading.current_thread().name!r}"
            )
        if self._running or self._closed:
            state = "is already running" if self._running else "has already run or is closed; make another one"
            raise RuntimeError(f"this supervisor {state}")
        self._running = True
        try:
            with self._bell.rung_by_signals(self._contained):
                self._supervise()
        finally:
            self._abandon()
            self._running = False
            self.close()
        if self._parting is not None:
            raise self._parting

    def stop(self) -> None:
        """Makes `run` return after a graceful shutdown: workers stop accepting and have `grace` seconds to drain.

        May be called from any thread and from a signal handler. A second call kills the workers at once. Called before
        `run`, it ends that one.
        """
        self._bell.ring(signal.SIGTERM)

    def restart(self) -> None:
        """Replaces the workers one after another, without losing a connection.

        A new worker is started; when it accepts, the old one stops accepting, and has `grace` seconds to drain its open
        connections. If a new worker fails before it is ready, the old workers that are left continue. A second call
        starts over. May be called from any thread and from a signal handler.
        """
        self._bell.ring(signal.SIGHUP)

    def close(self) -> None:
        """Closes the port, if `run` was not called. A second call does nothing.

        Raises:
            RuntimeError: It is running; call `stop`.
        """
        if self._running:
            raise RuntimeError("the supervisor is running; call stop()")
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self._local_address} port {self._local_port}"
        return f"<serversocket.Supervisor of {self.workers} workers, {state}>"

    def _release(self) -> None:
        """Closes all of the supervisor's descriptors; used in a worker too, which needs none of them."""
        self._closed = True
        for place in self._places:
            place.close()
        for process in self._processes:
            process.close()
        self._bell.close()

    # ---- requests

    def _contained(self, handler: Handler) -> Handler:
        """Wraps a signal handler of the program, so that its exceptions never interrupt the supervisor's code.

        They are logged later, because the signal may have interrupted the logging itself.
        """

        def handle(number: int, frame: Any) -> None:
            raised = None
            try:
                handler(number, frame)
            except (KeyboardInterrupt, SystemExit) as error:
                self._parting = error
                self.stop()
            except BaseException as error:
                raised = error
            self._handled.append(raised)
            self._bell.ring(number)

        return handle

    def _heed(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._begin_to_stop()
        elif number == signal.SIGHUP and not self._stopping:
            self._begin_to_replace()

    def _begin_to_stop(self) -> None:
        if self._stopping:
            say(INFO, "the workers are killed")
            for process in self._processes:
                self._kill(process)
            return
        self._stopping = True
        say(INFO, "the workers are told to end")

    def _begin_to_replace(self) -> None:
        """Plans to replace every worker. Ends starting processes too, unless no other process serves their place."""
        self._to_replace.clear()
        for place in self._places:
            served = self._of(Phase.SERVING, place)
            for process in self._of(Phase.ENDING, place):
                if process.may_be_stuck:  # and was told to end by the last restart
                    self._kill(process)
            for process in self._of(Phase.STARTING, place):
                if served or process.may_be_stuck:
                    self._tell_to_end(process)
            if served or self._of(Phase.STARTING, place):
                self._to_replace.append(place)
            else:
                place.due = self._clock.now
        say(INFO, "the workers are replaced")

    # ---- the turn

    def _supervise(self) -> None:
        while self._processes or not self._stopping:
            try:
                self._take_turns()
            except (KeyboardInterrupt, SystemExit) as error:
                self._parting = error
                if not self._stopping:
                    self.stop()
            except BaseException as error:  # from a handler that another handler has set, between two turns
                self._faults.result(SUPERVISOR, "was interrupted", error)

    def _take_turns(self) -> None:
        while self._processes or not self._stopping:
            if pause := self._faults.pause():
                time.sleep(pause)
            with self._faults.contained(SUPERVISOR, "could not finish its turn"):
                self._turn(pause)

    def _turn(self, paused: float) -> None:
        """Runs one turn. After a pause of `paused` seconds, it tries the steps again that failed in the last turn."""
        heard = self._wait(paused)
        if self._bell.fileno() in heard:
            with self._faults.contained(SUPERVISOR, "cannot read the pipe that wakes it"):
                self._bell.empty()
        for process in list(self._processes):
            if process.status in heard:
                with self._faults.contained(process, "cannot be read from"):
                    self._hear(process)
        for process in list(self._processes):
            with self._faults.contained(process, "cannot be waited for"):
                self._reap(process)
        while self._handled:
            self._faults.result("a signal handler", "failed", self._handled.popleft())
        for number in self._bell.asked():
            self._heed(number)
        for process in list(self._processes):
            self._look_at(process)
        if self._stopping:
            self._end_all()
        else:
            self._start_due()

    def _wait(self, paused: float) -> set[int]:
        """Waits for a signal, a report of a worker, or the next deadline; after a pause, does not wait.

        Returns:
            The descriptors that are readable; all of them if the wait failed.
        """
        seconds = 0.0 if paused else self._until_due()
        descriptors = {self._bell.fileno(), *(process.status for process in self._processes if process.status >= 0)}
        with self._faults.contained(SUPERVISOR, "cannot wait"):
            poll = select.poll()
            for fd in descriptors:
                poll.register(fd, select.POLLIN)
            descriptors = {fd for fd, _ in poll.poll(None if seconds == math.inf else round(seconds * 1000))}
        self._clock.advance(paused or seconds)
        return descriptors

    def _until_due(self) -> float:
        """Returns how long to wait at most, in seconds, rounded up to the milliseconds that the system takes."""
        due = [place.due - self._clock.now for place in self._places]
        due += [process.next_look() for process in self._processes]
        seconds = max(min(due), 0.0)
        return math.ceil(min(seconds, LONGEST_WAIT) * 1000) / 1000 if seconds < math.inf else math.inf

    def _of(self, phase: Phase, place: Place | None = None) -> list[Process]:
        """Returns the processes in a phase, of all places or of one."""
        return [each for each in self._processes if each.phase is phase and place in (None, each.place)]

    def _end_all(self) -> None:
        for process in self._processes:
            self._tell_to_end(process)
        for place in self._places:
            place.due = math.inf
            place.close()

    def _start_due(self) -> None:
        """Starts the processes that are due. The next worker to be replaced is due when no process is starting."""
        if self._to_replace and not self._of(Phase.STARTING):
            self._to_replace.pop(0).due = self._clock.now
        for place in self._places:
            if place.due <= self._clock.now:
                self._start(place)

    # ---- the life of a worker

    def _start(self, place: Place) -> None:
        place.due = math.inf
        started = False
        with self._faults.contained(place, "cannot be started"):
            self._fork(place)
            started = True
        if not started:
            place.back_off(0, self._clock.now)

    def _fork(self, place: Place) -> None:
        for stream in (sys.stdout, sys.stderr):
            with suppress(Exception):  # otherwise both processes would write the buffered output
                stream.flush()
        process = Process(place, self._clock, self._start_timeout, self._watchdog)
        try:
            # So no signal runs the supervisor's handlers in the worker, and the bell's lock is free there.
            mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
            try:
                with self._bell.lock:
                    process.pid = os.fork()
                    if process.pid == 0:
                        self._become(process)
                self._processes.append(process)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        except BaseException:
            process.close()  # if the worker was forked after all, this ends it
            raise
        process.keep()

    def _become(self, process: Process) -> NoReturn:
        """Becomes the worker, in the forked child: keeps only what it needs, and never returns."""
        try:
            listener = process.place.take_listener()
            self._release()
            worker.work(self._setup, listener, process.ties(), self._loop_factory)
        finally:
            os._exit(1)

    def _hear(self, process: Process) -> None:
        was_ready = process.ready
        try:
            process.hear()
        finally:
            if process.ready and not was_ready:
                self._became_ready(process)

    def _became_ready(self, process: Process) -> None:
        if process.phase is Phase.ENDING:  # it was told to end, and accepts the clients that wait
            process.give(self._grace, self._grace_is_over)
        if process.phase is not Phase.STARTING:
            return
        place = process.place
        others = self._of(Phase.SERVING, place) + self._of(Phase.STARTING, place)
        process.serve()
        place.due = math.inf
        say(INFO, "%s started", process)
        for other in others:
            if other is not process:
                self._tell_to_end(other)

    def _look_at(self, process: Process) -> None:
        """Kills a process that is overdue or silent for too long."""
        if process.is_silent:
            why = f"its reactor has not turned for {self._watchdog:g} seconds"
        elif process.is_overdue:
            why = process.verdict
        else:
            return
        phase = process.phase
        if phase is Phase.KILLED and process.kills >= KILLS and self._stopping:
            self._leave_behind(process)
            return
        self._kill(process)
        if phase in (Phase.STARTING, Phase.SERVING):
            self._lost(process, phase, f"is killed: {why}")
        elif phase is Phase.ENDING:
            say(WARNING, "%s is killed: %s", process, why)

    def _tell_to_end(self, process: Process) -> None:
        if process.phase in (Phase.STARTING, Phase.SERVING):
            with self._faults.contained(process, "cannot be told to end"):
                process.tell_to_end(self._grace, self._grace_is_over)

    def _kill(self, process: Process) -> None:
        with self._faults.contained(process, "cannot be killed"):
            process.kill()

    @property
    def _grace_is_over(self) -> str:
        return f"the {self._grace:g} seconds of grace are over"

    def _reap(self, process: Process) -> None:
        try:
            pid, status = os.waitpid(process.pid, os.WNOHANG)
        except ChildProcessError:  # other code in this program has reaped it
            self._ended(process, "unknown exit status")
        else:
            if pid:
                self._ended(process, how_it_ended(status))

    def _ended(self, process: Process, how: str) -> None:
        self._forget(process)
        if process.phase in (Phase.ENDING, Phase.KILLED):
            say(INFO, "%s ended: %s", process, how)
        elif process.phase is Phase.STARTING and self._of(Phase.SERVING, process.place):
            self._lost(process, process.phase, f"ended before it was ready: {how}")
        else:
            self._lost(process, process.phase, f"died: {how}")

    def _forget(self, process: Process) -> None:
        self._processes.remove(process)
        process.close()
        self._faults.forget(process)

    def _lost(self, process: Process, phase: Phase, how: str) -> None:
        """Logs the loss of a process that was in this phase, and sees to its replacement."""
        place = process.place
        starting = self._of(Phase.STARTING, place)
        if self._of(Phase.SERVING, place):
            self._to_replace.clear()
            say(ERROR, "%s %s; the workers not replaced yet continue", process, how)
        elif starting:
            if phase is Phase.SERVING:  # the starting one has a second; it may be stuck
                place.due = min(place.due, self._clock.now + max(LEAST_LIFE - starting[-1].age, 0.0))
            say(WARNING, "%s %s; the next one is already starting", process, how)
        else:
            place.back_off(process.age if phase is Phase.SERVING else 0.0, self._clock.now)
            say(WARNING, "%s %s; the next one starts in %g s", process, how, place.delay)

    def _leave_behind(self, process: Process) -> None:
        self._forget(process)
        say(ERROR, "%s could not be killed and is left behind", process)

    def _abandon(self) -> None:
        """Kills all processes that are left, after an error that ended the supervisor."""
        for process in self._processes:
            self._kill(process)
        end = time.monotonic() + LAST_KILLS
        while self._processes and time.monotonic() < end:
            for process in list(self._processes):
                with self._faults.contained(process, "cannot be waited for"):
                    self._reap(process)
            time.sleep(0.01)
        for process in list(self._processes):
            self._leave_behind(process)

"""`Supervisor`: worker processes that share one port, each with a reactor of its own."""

from __future__ import annotations

import math
import operator
import os
import select
import signal
import socket
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import NoReturn, Self, SupportsIndex

from . import errors, worker
from .addresses import Host, require_reuse_port
from .naming import with_as3_names
from .reactor import Reactor
from .reporting import logger
from .server import ServerSocket

LEAST_LIFE = 1.0  # seconds; a worker that did not live so long has died at once
FIRST_DELAY = 0.1
LONGEST_DELAY = 10.0


class _Pipe:
    """A pipe; an end that is closed in this process is -1."""

    def __init__(self) -> None:
        self.reading, self.writing = os.pipe()

    def close_reading(self) -> None:
        fd, self.reading = self.reading, -1
        if fd >= 0:
            os.close(fd)

    def close_writing(self) -> None:
        fd, self.writing = self.writing, -1
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        self.close_reading()
        self.close_writing()


class _Process:
    """One process, while it starts, serves, or finishes its connections."""

    def __init__(self, place: _Place) -> None:
        self.place = place
        self.pid = 0
        self.started = time.monotonic()
        self.told_to_end = False
        self.deadline = math.inf  # when it is killed
        self.lifeline = _Pipe()  # the worker reads; nothing is written
        try:
            self.ready = _Pipe()  # the supervisor reads
        except OSError:
            self.lifeline.close()
            raise

    def send(self, number: int) -> None:
        with suppress(ProcessLookupError):  # somebody else has waited for it
            os.kill(self.pid, number)

    def close(self) -> None:
        self.lifeline.close()
        self.ready.close()

    def __str__(self) -> str:
        return f"worker {self.place.number} (pid {self.pid})"


class _Place:
    """One of the workers, whichever process it is at the time; its socket stays the same."""

    def __init__(self, number: int, listener: socket.socket) -> None:
        self.number = number
        self.listener = listener
        self.serving: _Process | None = None
        self.starting: _Process | None = None
        self.due = 0.0  # when the next one is to be started
        self.delay = 0.0

    def back_off(self, lived: float) -> None:
        """Sets when the next process is to be started."""
        doubled = min(max(2 * self.delay, FIRST_DELAY), LONGEST_DELAY)
        self.delay = doubled if lived < LEAST_LIFE else 0.0
        self.due = time.monotonic() + self.delay


@with_as3_names
class Supervisor:
    """Runs worker processes behind one port, so that a server uses all cores; Linux only. AIR has nothing like it.

    The port is bound, and clients may connect, as soon as it is made. `run` forks the workers. Each gets a listening
    socket of its own on that port, and the system spreads the connections over them. The supervisor keeps these
    sockets open too: what waits to be accepted by a worker that has died waits for the next one.

    Args:
        setup: Called in each worker with its listening `ServerSocket`, to which it adds its listeners. It may return
            something to call when the worker is told to end: to close what else the program has open, such as timers
            and connections to other servers. What it raises ends the worker.
        local_port: As for `ServerSocket.bind`; 0 takes a free port, which `local_port` then tells.
        local_address: As for `ServerSocket.bind`.
        workers: How many; ``None`` is the number of cores that this process may use.
        dual_stack: As for `ServerSocket.bind`.
        backlog: As for `ServerSocket.listen`, for each worker.
        grace: Seconds that a worker has for its open connections when it is told to end; then it is killed.

    Raises:
        RangeError: `local_port` is outside 0 to 65535 (#2003); `workers` is less than 1, or `backlog` or `grace` is
            negative (#2006).
        ArgumentError: `local_address` is not a well-formed IP address (#2004), or is IPv4 with `dual_stack`.
        IOError: The system is not Linux, or refuses: the port is taken, by another supervisor too (#2002).
        TypeError: An argument has the wrong type.

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
    ) -> None:
        if not callable(setup):
            raise errors.wrong_type("setup", setup, "callable")
        count = parse_workers(workers)
        self._setup = setup
        self._grace = _parse_grace(grace)
        require_reuse_port()
        # What it was asked for, by signals and by `stop` and `restart`; the bell only wakes it, and may be full.
        self._asked: deque[int] = deque()
        with _whole() as opened:
            self._ear, self._bell = map(opened.enter_context, socket.socketpair())
            self._ear.setblocking(False)
            self._bell.setblocking(False)
            listeners, self._local_address, self._local_port = _listen(
                opened, count, local_port, local_address, dual_stack, backlog
            )
        self._lock = threading.RLock()  # of the bell; reentrant, for a signal's handler may ring it too
        self._places = [_Place(number, listener) for number, listener in enumerate(listeners, 1)]
        self._processes: dict[int, _Process] = {}
        self._to_replace: list[_Place] = []
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
        """How many workers there are."""
        return len(self._places)

    def run(self) -> None:
        """Runs the workers until `stop` is called, or SIGTERM or SIGINT arrives; then everything is closed.

        SIGHUP does what `restart` does. Signals that are ignored stay so. Afterwards they are as they were before. A
        worker that dies is logged by the logger ``serversocket``, and started anew: at once, or if it has
        lived for less than a second, after 0.1 s, doubled each time up to 10 s.

        Raises:
            RuntimeError: It has run already or is closed, or this is not the main thread, which alone gets signals.
        """
        if threading.current_thread() is not threading.main_thread():
            raise RuntimeError(
                f"a supervisor is run by the main thread, which gets the signals, not by "
                f"{threading.current_thread().name!r}"
            )
        if self._running or self._closed:
            state = "runs already" if self._running else "has run already or is closed; make another one"
            raise RuntimeError(f"this supervisor {state}")
        self._running = True
        try:
            with self._signals():
                while self._processes or not self._stopping:
                    self._turn()
        finally:
            self._abandon()
            self._running = False
            self.close()

    def stop(self) -> None:
        """Makes `run` return: the workers accept nobody any more and have `grace` seconds for their open connections.

        From any thread, and from a signal's handler. Called again, it kills them at once. Called before `run`, it
        ends that.
        """
        self._ring(signal.SIGTERM)

    def restart(self) -> None:
        """Replaces the workers one after another; from any thread, and from a signal's handler.

        A new one is started; when it accepts, the old one accepts no more, and has `grace` seconds for
        its open connections. No connection is lost. Where a new one fails before it is ready, the old ones that are
        left go on.
        """
        self._ring(signal.SIGHUP)

    def close(self) -> None:
        """Closes the port, where `run` was not called. A second call does nothing.

        Raises:
            RuntimeError: It runs; `stop` ends that.
        """
        if self._running:
            raise RuntimeError("the supervisor is running; stop() it")
        self._release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{self._local_address} port {self._local_port}"
        return f"<serversocket.Supervisor of {self.workers} workers, {state}>"

    def _release(self) -> None:
        """Closes every descriptor that the supervisor has; in a worker too, which needs none of them."""
        self._closed = True
        for place in self._places:
            place.listener.close()
        for process in self._processes.values():
            process.close()
        with self._lock:
            self._ear.close()
            self._bell.close()

    # ---- the turn

    def _turn(self) -> None:
        now = time.monotonic()
        if not self._stopping:
            self._replace_next()
            for place in self._places:
                if place.due <= now:
                    self._start(place)
        for process in self._processes.values():
            if process.deadline <= now:
                logger.warning("%s is killed: the %g seconds of grace are over", process, self._grace)
                self._kill(process)
        self._wait()
        self._reap()

    def _wait(self) -> None:
        """Waits for a signal, a worker that is ready, or the next thing that is due."""
        due = [place.due for place in self._places] + [process.deadline for process in self._processes.values()]
        seconds = min(due) - time.monotonic()
        poll = select.poll()
        poll.register(self._ear, select.POLLIN)
        starting = {fd: process for process in self._processes.values() if (fd := process.ready.reading) >= 0}
        for fd in starting:
            poll.register(fd, select.POLLIN)
        ready = poll.poll(None if seconds == math.inf else max(0, math.ceil(min(seconds, 1e6) * 1000)))
        for fd, _ in ready:
            if fd in starting:
                self._heard_from(starting[fd])
            else:
                self._ear.recv(4096)
                while self._asked:
                    self._heed(self._asked.popleft())

    def _heed(self, number: int) -> None:
        if number in (signal.SIGTERM, signal.SIGINT):
            self._begin_to_stop()
        elif number == signal.SIGHUP and not self._stopping:
            logger.info("the workers are replaced")
            self._to_replace = list(self._places)

    def _ring(self, number: int) -> None:
        self._asked.append(number)
        with self._lock, suppress(OSError):  # it is closed: there is nobody to be told; or full: it rings anyway
            self._bell.send(b"\0")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Has signals ring the bell, whichever thread they arrive in; their handlers run when that has woken it."""
        wanted = [
            each for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
            if signal.getsignal(each) is not signal.SIG_IGN
        ]  # fmt: skip
        with self._woken():
            previous = {each: signal.signal(each, lambda number, frame: self._asked.append(number)) for each in wanted}
            previous[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda number, frame: None)
            try:
                yield
            finally:
                for each, handler in previous.items():
                    signal.signal(each, signal.SIG_DFL if handler is None else handler)  # None: none of Python's

    @contextmanager
    def _woken(self) -> Iterator[None]:
        previous = signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(previous)

    # ---- the life of a worker

    def _start(self, place: _Place) -> None:
        place.due = math.inf
        try:
            self._fork(place)
        except OSError as error:
            place.back_off(0)
            logger.error("worker %d cannot be started: %s", place.number, error.strerror)

    def _fork(self, place: _Place) -> None:
        process = _Process(place)
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # what is in their buffers would be written twice
                stream.flush()
        # No signal finds a worker with the supervisor's handlers, and no thread leaves it with a lock that is held.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            with self._lock:
                process.pid = os.fork()
                if process.pid == 0:
                    self._become(process)
            place.starting = self._processes[process.pid] = process
            process.lifeline.close_reading()
            process.ready.close_writing()
        except BaseException:
            process.close()  # should there be a worker after all, this ends it
            raise
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)

    def _become(self, process: _Process) -> NoReturn:
        """In the forked child: keeps what the worker needs, and never returns."""
        try:
            listener = process.place.listener.detach()
            self._release()
            process.lifeline.close_writing()
            process.ready.close_reading()
            worker.work(self._setup, listener, process.lifeline.reading, process.ready.writing)
        finally:
            os._exit(1)

    def _heard_from(self, process: _Process) -> None:
        """It is ready, or it has ended."""
        ready = os.read(process.ready.reading, 1)
        process.ready.close()
        if not ready:
            return
        place = process.place
        before, place.serving, place.starting = place.serving, process, None
        logger.info("%s started", process)
        if before is not None:
            self._tell_to_end(before)

    def _replace_next(self) -> None:
        """Begins to replace the next worker, once the last one that was started is ready."""
        if not self._to_replace or any(place.starting for place in self._places):
            return
        place = self._to_replace.pop(0)
        place.due = 0.0

    def _tell_to_end(self, process: _Process) -> None:
        if not process.told_to_end:
            process.told_to_end = True
            process.deadline = time.monotonic() + self._grace
            process.send(signal.SIGTERM)

    def _kill(self, process: _Process) -> None:
        process.told_to_end = True
        process.deadline = math.inf
        process.send(signal.SIGKILL)

    def _begin_to_stop(self) -> None:
        if self._stopping:
            logger.info("the workers are killed")
            for process in self._processes.values():
                self._kill(process)
            return
        self._stopping = True
        self._to_replace.clear()
        logger.info("the workers are told to end")
        for process in self._processes.values():
            self._tell_to_end(process)
        for place in self._places:
            place.due = math.inf
            place.listener.close()

    def _reap(self) -> None:
        for process in list(self._processes.values()):
            try:
                pid, status = os.waitpid(process.pid, os.WNOHANG)
            except ChildProcessError:  # somebody else in this program has waited for it
                self._ended(process, "unknown exit status")
            else:
                if pid:
                    self._ended(process, _how(status))

    def _ended(self, process: _Process, how: str) -> None:
        """Says so in one line, and sees to it that there is another."""
        place = process.place
        replacing = process is place.starting and place.serving is not None
        place.starting = None if process is place.starting else place.starting
        place.serving = None if process is place.serving else place.serving
        del self._processes[process.pid]
        process.close()
        if process.told_to_end:
            logger.info("%s ended: %s", process, how)
        elif replacing:
            self._to_replace.clear()
            logger.error("%s ended before it was ready: %s; what is not replaced yet goes on", process, how)
        elif place.starting is not None:
            logger.warning("%s died: %s; the next one starts already", process, how)
        else:
            place.back_off(time.monotonic() - process.started)
            logger.warning("%s died: %s; the next one starts in %g s", process, how, place.delay)

    def _abandon(self) -> None:
        """After an error or an interrupt: leaves no process behind."""
        for process in self._processes.values():
            self._kill(process)
        for process in self._processes.values():
            with suppress(ChildProcessError):
                os.waitpid(process.pid, 0)
            process.close()
        self._processes.clear()


def parse_workers(value: object) -> int:
    """The number of workers.

    Args:
        value: An int, or anything with ``__index__``; ``None`` for the number of usable cores.

    Raises:
        TypeError: Any other type, `bool` included.
        RangeError: Less than 1 (#2006).
    """
    if value is None:
        return len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise errors.wrong_type("workers", value, "an int or None")
    count = operator.index(value)  # type: ignore[arg-type]
    if count < 1:
        raise errors.out_of_bounds("Supervisor", f"{errors.shown(count)} workers are less than 1")
    return count


def _parse_grace(value: object) -> float:
    if isinstance(value, bool) or not (hasattr(type(value), "__float__") or hasattr(type(value), "__index__")):
        raise errors.wrong_type("grace", value, "a number of seconds")
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except OverflowError:
        seconds = math.inf
    if not seconds >= 0:
        raise errors.out_of_bounds("Supervisor", f"grace {errors.shown(value)} is not a number of seconds from 0 on")
    return seconds


@contextmanager
def _whole() -> Iterator[ExitStack]:
    """Where not everything can be opened, nothing stays open, and the error is one of AIR's."""
    with ExitStack() as opened:
        try:
            yield opened
        except errors.IOError:
            raise
        except OSError as error:
            raise errors.invalid_socket("Supervisor", "", error) from None
        opened.pop_all()


def _listen(
    opened: ExitStack, count: int, port: SupportsIndex, address: Host, dual_stack: bool, backlog: SupportsIndex
) -> tuple[list[socket.socket], str, int]:
    """So many sockets that listen on one port, its address and its number.

    The first is bound alone, so that a port which anybody else has is refused, and shares its port only then.
    """
    with closing(Reactor()) as reactor:
        servers: list[ServerSocket] = []
        listeners: list[socket.socket] = []
        while len(servers) < count:
            server = ServerSocket(reactor=reactor)
            server.bind(port, address, dual_stack=dual_stack, reuse_port=bool(servers))
            port = server.local_port
            servers.append(server)
            listener = opened.enter_context(socket.socket(fileno=os.dup(server.fileno())))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listeners.append(listener)
        for server in servers:  # only now, so that no client finds a port that is then given up
            server.listen(backlog)
        return listeners, str(servers[0].local_address), servers[0].local_port


def _how(status: int) -> str:
    """How a process ended, from what waitpid tells."""
    code = os.waitstatus_to_exitcode(status)
    if code >= 0:
        return f"exit status {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"

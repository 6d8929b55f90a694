"""What runs in a worker process of a `Supervisor`: from the fork to its exit."""

from __future__ import annotations

import inspect
import math
import os
import select
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import closing, suppress
from importlib import import_module
from logging import shutdown as end_logging
from types import FrameType
from typing import Any, NamedTuple, NoReturn

from .. import errors
from ..loop.reactor import Reactor
from ..loop.reporting import logger
from ..net.server import ServerSocket

if sys.platform == "linux":
    import fcntl

Farewell = Callable[[], object]
"""What is to be called at the end."""

PlainSetup = Callable[[ServerSocket], Farewell | None]
AsyncSetup = Callable[[ServerSocket], Coroutine[Any, Any, Farewell | None]]
Setup = PlainSetup | AsyncSetup
"""What a program gives its workers: called with the server, it may return what is to be called at the end."""


class Ties(NamedTuple):
    """What ties a worker to its supervisor: ends of pipes, whose other ends nobody but the supervisor has."""

    signals: dict[int, int]
    """Reading ends, by the signal that the system sends to the worker when the other end is closed."""

    status: int
    """A writing end: the first byte says that the worker accepts, further ones that its reactor turns."""

    beat: float
    """Seconds between these; infinite for none."""

    def obey(self) -> None:
        """Has the system send the signals, whatever the process is doing then.

        Unlike PR_SET_PDEATHSIG it does not depend on the thread that has forked.
        """
        poll = select.poll()
        for number, fd in self.signals.items():
            fcntl.fcntl(fd, fcntl.F_SETSIG, number)
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_ASYNC)
            poll.register(fd, 0)
        self.belong()
        closed = [fd for fd, _ in poll.poll(0)]
        for number, fd in self.signals.items():
            if fd in closed:  # before that
                os.kill(os.getpid(), number)

    def belong(self) -> None:
        """The system sends them in the name of the user that the worker has now: to itself it always may."""
        for fd in self.signals.values():
            fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())

    def accepts(self, reactor: Reactor) -> None:
        """Tells the supervisor that the worker accepts, and goes on to tell that its reactor turns."""
        self.belong()  # `setup` may have changed the user
        os.write(self.status, b"\0")
        if self.beat < math.inf:
            reactor.call_every(self.beat, self._beat).unref()
        else:
            with suppress(OSError):  # it is closed in any case
                os.close(self.status)

    def _beat(self) -> None:
        with suppress(OSError):  # a supervisor that is stopped reads nothing, and the pipe is full
            os.write(self.status, b"\0")


def is_coroutine_function(setup: object) -> bool:
    """Returns True if calling this makes a coroutine."""
    return inspect.iscoroutinefunction(setup) or inspect.iscoroutinefunction(type(setup).__call__)


def work(setup: Setup, listener: int, ties: Ties, loop_factory: Callable[[], Any] | None) -> NoReturn:
    """Runs a worker and ends the process.

    Args:
        setup: The program's.
        listener: A listening descriptor, the worker's own from here on.
        ties: Its pipes.
        loop_factory: What makes the loop of asyncio for a `setup` that is a coroutine function; ``None`` for its own.
    """
    status = 1
    try:
        ties.obey()
        _reset_signals()
        if is_coroutine_function(setup):
            import_module(".async_worker", __package__).serve(setup, listener, ties, loop_factory)
        else:
            _serve(setup, listener, ties)
        status = 0
    except SystemExit as end:
        status = _status_of(end)
    except BaseException as error:
        logger.critical("a worker (pid %d) failed", os.getpid(), exc_info=error)
    finally:
        # What the supervisor's program wants done at its own exit is not done here: hence no other way out than this.
        for finish in (end_logging, _flush):
            with suppress(Exception):
                finish()
        os._exit(status)


def _serve(setup: Any, listener: int, ties: Ties) -> None:
    """Serves until SIGTERM has closed the server and nothing else is open either."""
    server = ServerSocket()
    reactor = server.reactor
    farewell: Farewell | None = None
    told = False

    def leave() -> None:
        if server.bound:
            server.close()
        if farewell is not None:
            farewell()

    def terminated(number: int, frame: FrameType | None) -> None:
        nonlocal told
        if not told:
            told = True
            reactor.call_soon_threadsafe(leave)  # in the reactor's turn, after it has accepted who waits

    signal.signal(signal.SIGTERM, terminated)
    unblock_signals()
    with closing(reactor):
        server._inherit(listener)
        farewell = as_farewell(setup(server))
        if is_coroutine_function(farewell):
            raise TypeError(
                f"setup returned {farewell!r}, a coroutine function, and is none itself: nobody would await it"
            )
        ties.accepts(reactor)
        reactor.run()


def as_farewell(returned: Any) -> Farewell | None:
    """What `setup` has returned, if that can be called at the end.

    Raises:
        TypeError: It cannot.
    """
    if returned is None or callable(returned):
        return returned  # type: ignore[no-any-return]
    if inspect.iscoroutine(returned):
        returned.close()
        raise TypeError("setup returned a coroutine that nobody awaits; give the Supervisor the `async def` function")
    raise errors.wrong_type("what setup returns", returned, "callable or None")


def _reset_signals() -> None:
    """Every signal is as after an exec, save for what a terminal sends to all processes: that is for the supervisor."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ignored)


def unblock_signals() -> None:
    """The fork has blocked them: the worker hears what has come since, once it has its handlers."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def ignored(number: int, frame: FrameType | None) -> None:
    """Unlike SIG_IGN, a handler is not passed on to the programs that a worker starts."""


def _status_of(end: SystemExit) -> int:
    """The exit status that Python would give."""
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    print(end.code, file=sys.stderr)
    return 1


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()

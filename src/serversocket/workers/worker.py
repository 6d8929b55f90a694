"""The code of a `Supervisor`'s worker process, from the fork to its exit."""

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
"""A function to call at the end."""

PlainSetup = Callable[[ServerSocket], Farewell | None]
AsyncSetup = Callable[[ServerSocket], Coroutine[Any, Any, Farewell | None]]
Setup = PlainSetup | AsyncSetup
"""The program's function for its workers: called with the server, it may return a function to call at the end."""


class Ties(NamedTuple):
    """The pipes between a worker and its supervisor: the worker's ends; only the supervisor has the others."""

    signals: dict[int, int]
    """Reading ends, by the signal that the system sends to the worker when the other end is closed."""

    status: int
    """A writing end: the first byte reports that the worker accepts, further ones that its reactor turns."""

    beat: float
    """Seconds between these heartbeats; infinite for none."""

    def obey(self) -> None:
        """Makes the system send the signals when the pipes are closed, whatever the process is doing then.

        Unlike PR_SET_PDEATHSIG, this does not depend on the thread that has forked.
        """
        poll = select.poll()
        for number, fd in self.signals.items():
            fcntl.fcntl(fd, fcntl.F_SETSIG, number)
            fcntl.fcntl(fd, fcntl.F_SETFL, os.O_ASYNC)
            poll.register(fd, 0)
        self.belong()
        closed = [fd for fd, _ in poll.poll(0)]
        for number, fd in self.signals.items():
            if fd in closed:  # it was closed before F_SETOWN
                os.kill(os.getpid(), number)

    def belong(self) -> None:
        """Makes the worker the owner, as the user that it has now: a process may always signal itself."""
        for fd in self.signals.values():
            fcntl.fcntl(fd, fcntl.F_SETOWN, os.getpid())

    def accepts(self, reactor: Reactor) -> None:
        """Reports to the supervisor that the worker accepts, and from then on periodically that its reactor turns."""
        self.belong()  # `setup` may have changed the user
        os.write(self.status, b"\0")
        if self.beat < math.inf:
            reactor.call_every(self.beat, self._beat).unref()
        else:
            with suppress(OSError):  # it is closed in any case
                os.close(self.status)

    def _beat(self) -> None:
        with suppress(OSError):  # the pipe is full, because a stopped supervisor does not read
            os.write(self.status, b"\0")


def is_coroutine_function(setup: object) -> bool:
    """Returns True if a call of `setup` makes a coroutine."""
    return inspect.iscoroutinefunction(setup) or inspect.iscoroutinefunction(type(setup).__call__)


def work(setup: Setup, listener: int, ties: Ties, loop_factory: Callable[[], Any] | None) -> NoReturn:
    """Runs a worker and ends the process.

    Args:
        setup: The program's function.
        listener: A listening descriptor, which the worker owns from then on.
        ties: The worker's pipes.
        loop_factory: Makes the asyncio loop for a `setup` that is a coroutine function; ``None`` for the default.
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
        # Exit handlers of the supervisor's program must not run here, so `os._exit` is the only way out.
        for finish in (end_logging, _flush):
            with suppress(Exception):
                finish()
        os._exit(status)


def _serve(setup: Any, listener: int, ties: Ties) -> None:
    """Serves until SIGTERM has closed the server and nothing else is open."""
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
            reactor.call_soon_threadsafe(leave)  # in the reactor's turn, after it has accepted waiting clients

    signal.signal(signal.SIGTERM, terminated)
    unblock_signals()
    with closing(reactor):
        server._inherit(listener)
        farewell = as_farewell(setup(server))
        if is_coroutine_function(farewell):
            raise TypeError(
                f"setup returned the coroutine function {farewell!r}, which a plain setup cannot await; "
                "make setup an `async def` function too"
            )
        ties.accepts(reactor)
        reactor.run()


def as_farewell(returned: Any) -> Farewell | None:
    """Returns the function that `setup` has returned, or ``None``.

    Raises:
        TypeError: It is not callable.
    """
    if returned is None or callable(returned):
        return returned  # type: ignore[no-any-return]
    if inspect.iscoroutine(returned):
        returned.close()
        raise TypeError("setup returned a coroutine, which is not awaited; pass the `async def` function to Supervisor")
    raise errors.wrong_type("the return value of setup", returned, "callable or None")


def _reset_signals() -> None:
    """Resets all signals as an exec does, but ignores those that a terminal sends to all: they are the supervisor's."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, ignored)


def unblock_signals() -> None:
    """Unblocks the signals, which the fork has blocked; those that arrived meanwhile reach the worker's handlers."""
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def ignored(number: int, frame: FrameType | None) -> None:
    """Does nothing. Unlike SIG_IGN, a handler is not inherited by programs that a worker starts."""


def _status_of(end: SystemExit) -> int:
    """Returns the exit status that Python would use."""
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

"""What runs in a worker process of a `Supervisor`: from the fork to its exit."""

from __future__ import annotations

import os
import select
import signal
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from logging import shutdown as end_logging
from types import FrameType
from typing import NoReturn

from . import errors
from .reporting import logger
from .server import ServerSocket

if sys.platform == "linux":
    import fcntl

Setup = Callable[[ServerSocket], Callable[[], object] | None]
"""What a program gives its workers: called with the server, it may return what is to be called at the end."""


def work(setup: Setup, listener: int, lifeline: int, ready: int) -> NoReturn:
    """Runs a worker and ends the process.

    Args:
        setup: The program's.
        listener: A listening descriptor, the worker's own from here on.
        lifeline: The reading end of a pipe whose other end nobody but the supervisor has.
        ready: The writing end of a pipe; one byte tells the supervisor that the worker accepts.
    """
    status = 1
    try:
        _die_with_supervisor(lifeline)
        _serve(setup, listener, ready)
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


def _serve(setup: Setup, listener: int, ready: int) -> None:
    """Serves until SIGTERM has closed the server and nothing else is open either."""
    server = ServerSocket()
    reactor = server.reactor
    farewell: Callable[[], object] | None = None

    def leave() -> None:
        if server.bound:
            server.close()
        if farewell is not None:
            farewell()

    def terminated(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, _ignored)
        reactor.call_soon_threadsafe(leave)  # in the reactor's turn, after it has accepted who waits

    _reset_signals()
    signal.signal(signal.SIGTERM, terminated)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    with closing(reactor):
        server._inherit(listener)
        farewell = setup(server)
        if farewell is not None and not callable(farewell):
            raise errors.wrong_type("what setup returns", farewell, "callable or None")
        os.write(ready, b"\0")
        os.close(ready)
        reactor.run()


def _reset_signals() -> None:
    """Every signal is as after an exec, save for what a terminal sends to all processes: that is for the supervisor."""
    signal.set_wakeup_fd(-1)
    for number in signal.valid_signals():
        if callable(signal.getsignal(number)):
            signal.signal(number, signal.SIG_DFL)
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _ignored)


def _ignored(number: int, frame: FrameType | None) -> None:
    """Unlike SIG_IGN, a handler is not passed on to the programs that a worker starts."""


def _die_with_supervisor(lifeline: int) -> None:
    """Has the system kill this process when the pipe's other end is closed, whatever the process is doing then.

    Unlike PR_SET_PDEATHSIG it does not depend on the thread that has forked, and outlives a change of the user.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
    fcntl.fcntl(lifeline, fcntl.F_SETFL, os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline, 0)
    if poll.poll(0):  # it was closed before
        os._exit(1)


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

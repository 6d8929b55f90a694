"""The terminal: what is printed and logged there, and how a command ends."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from .. import Reactor

logger = logging.getLogger("serversocket.cli")

TERMINATED = 128 + signal.SIGTERM
BROKEN_PIPE = 128 + 13

# What moves the cursor, commands the terminal or turns the direction of writing. A tab is harmless.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived."""


# --------------------------------------------------------------------------------------------------- printing


def printable(text: str) -> str:
    r"""A text that cannot control the terminal.

    Example:
        >>> printable("\x1b[2J")
        '\\x1b[2J'
    """
    return _CONTROL.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)


def say(text: str) -> None:
    """Prints a line on standard output."""
    with standard_output():
        print(text, flush=True)


def write(data: bytes) -> None:
    """Writes bytes to standard output, however long it takes."""
    with standard_output():
        view = memoryview(data)
        while view:
            view = view[os.write(1, view) :]


def complain(text: str) -> None:
    """Prints a line about a problem on standard error."""
    _print_error(f"serversocket: {text}")


def _print_error(text: str) -> None:
    if sys.stderr is not None:
        with suppress(OSError):
            print(text, file=sys.stderr, flush=True)


def fail(text: str, code: int = 1) -> NoReturn:
    """Ends the command, from a listener too, with one line on standard error and an exit code."""
    complain(text)
    raise SystemExit(code)


@contextmanager
def standard_output() -> Iterator[None]:
    """Ends the command where standard output takes no more; silently where its reader has gone."""
    try:
        try:
            yield
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
    except BrokenPipeError:
        _close_standard_output()
        raise SystemExit(BROKEN_PIPE) from None
    except OSError as error:
        _close_standard_output()
        fail(f"standard output: {error.strerror}")


def _close_standard_output() -> None:
    """What is still in Python's buffer goes nowhere, rather than fail again when the interpreter ends."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


# ---------------------------------------------------------------------------------------------------- logging


class _Handler(logging.Handler):
    """Problems go to standard error, everything else where it is told."""

    def __init__(self, log_to_output: bool) -> None:
        super().__init__()
        self._log_to_output = log_to_output

    def emit(self, record: logging.LogRecord) -> None:
        text = self.format(record)
        if record.levelno >= logging.WARNING:
            complain(text)
        elif self._log_to_output:
            say(text)
        else:
            _print_error(text)


def start_logging(level: int, *, to_output: bool, prefix: str = "") -> None:
    """Logs from here on.

    Args:
        level: What is less than this is not logged.
        to_output: Whether everything but problems goes to standard output.
        prefix: What each line begins with.
    """
    handler = _Handler(to_output)
    handler.setFormatter(logging.Formatter(f"{prefix}%(message)s"))
    package = logging.getLogger("serversocket")
    package.handlers = [handler]
    package.setLevel(level)
    package.propagate = False


# ------------------------------------------------------------------------------------------------ the process


@contextmanager
def prepared() -> Iterator[None]:
    """Makes the standard descriptors and the signals what the commands expect."""
    _open_missing_descriptors()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    with _signals():
        yield


def _open_missing_descriptors() -> None:
    """Where a standard descriptor is closed, a socket would get its number, and what is meant for the terminal."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        else:
            # Whoever had the terminal before may have left it non-blocking.
            with suppress(OSError, AttributeError):
                os.set_blocking(number, True)


@contextmanager
def _signals() -> Iterator[None]:
    wanted = {signal.SIGTERM: _terminate}
    if sys.platform != "win32":
        # A background process that reads from the terminal is told by an error then, instead of being stopped.
        wanted[signal.SIGTTIN] = signal.SIG_IGN  # type: ignore[assignment]
    previous = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def run_until_signal(reactor: Reactor) -> None:
    """`Reactor.run`, which SIGINT and SIGTERM end by `Reactor.stop`; a second one interrupts what is going on.

    An exception out of a signal's handler is lost where Python ignores exceptions, such as in ``__del__``.

    Raises:
        KeyboardInterrupt: SIGINT arrived; `Terminated`, which is one: SIGTERM.
    """
    arrived: list[type[KeyboardInterrupt]] = []

    def note(number: int, frame: FrameType | None) -> None:
        arrived.append(Terminated if number == signal.SIGTERM else KeyboardInterrupt)
        if len(arrived) > 1:
            raise arrived[0]
        reactor.stop()

    numbers = [each for each in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(each) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, note) for number in numbers}
    try:
        reactor.run()
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if arrived:
        raise arrived[0]


def _terminate(number: int, frame: FrameType | None) -> NoReturn:
    raise Terminated

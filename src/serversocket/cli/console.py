"""The terminal: printing, logging, and the end of a command."""

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

# Characters that move the cursor, control the terminal or change the writing direction. A tab is harmless.
_CONTROL = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


class Terminated(KeyboardInterrupt):
    """SIGTERM arrived."""


# --------------------------------------------------------------------------------------------------- printing


def printable(text: str) -> str:
    r"""Returns a text with control characters escaped, so that it cannot control the terminal.

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
    """Writes bytes to standard output, and waits until all are written."""
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
    """Ends the command with one line on standard error and an exit code. Works in a listener too."""
    complain(text)
    raise SystemExit(code)


@contextmanager
def standard_output() -> Iterator[None]:
    """Ends the command if writing to standard output fails in the block; silently if its reader is gone."""
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
    """Redirects standard output to the null device, so that flushing Python's buffer at exit does not fail again."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


# ---------------------------------------------------------------------------------------------------- logging


class _Handler(logging.Handler):
    """Writes problems to standard error, and everything else to the chosen stream."""

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
    """Starts logging.

    Args:
        level: The lowest level that is logged.
        to_output: True if everything but problems goes to standard output, else to standard error.
        prefix: A text before each line.
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
    """Sets up the standard descriptors and the signals as the commands expect them."""
    _open_missing_descriptors()
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    with _signals():
        yield


def _open_missing_descriptors() -> None:
    """Opens the null device for closed standard descriptors; else a socket could get their numbers and their output."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        else:
            # The previous user of the terminal may have left it non-blocking.
            with suppress(OSError, AttributeError):
                os.set_blocking(number, True)


@contextmanager
def _signals() -> Iterator[None]:
    wanted = {signal.SIGTERM: _terminate}
    if sys.platform != "win32":
        # Then a background process that reads from the terminal gets an error, instead of being stopped.
        wanted[signal.SIGTTIN] = signal.SIG_IGN  # type: ignore[assignment]
    previous = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def run_until_signal(reactor: Reactor) -> None:
    """Runs the reactor until SIGINT or SIGTERM stops it; a second signal interrupts the current listener.

    The first signal uses `Reactor.stop`, because an exception of a signal handler can be lost where Python ignores
    exceptions, such as in ``__del__``.

    Raises:
        KeyboardInterrupt: SIGINT arrived; or SIGTERM, then it is a `Terminated`.
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

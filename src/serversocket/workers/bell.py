"""The requests to a supervisor, by signals and by calls, and the pipe that wakes it."""

from __future__ import annotations

import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

from .process import Pipe

Handler = Callable[[int, Any], object]


class Bell:
    """A wake-up pipe, and a queue of signal numbers, to which calls append too.

    Python writes to the pipe when a signal arrives, in any thread. The pipe only wakes; it may be full, so the requests
    are in the queue.
    """

    def __init__(self) -> None:
        self._asked: deque[int] = deque()
        self._pipe = Pipe()
        self.lock = threading.RLock()  # guards the pipe; reentrant, because a signal handler may ring too

    def fileno(self) -> int:
        """Returns the descriptor that becomes readable when it rings."""
        return self._pipe.reading

    def ring(self, number: int) -> None:
        """Requests what a signal does. May be called from any thread; does nothing if the bell is closed."""
        self._asked.append(number)
        with self.lock, suppress(OSError):  # it is closed, so nothing waits for it; or full, so it rings anyway
            os.write(self._pipe.writing, b"\0")

    def empty(self) -> None:
        """Drains the pipe, so that it wakes only when it rings again."""
        os.read(self._pipe.reading, 4096)

    def asked(self) -> Iterator[int]:
        """Yields the requests since the last call."""
        while self._asked:
            yield self._asked.popleft()

    def close(self) -> None:
        with self.lock:
            self._pipe.close()

    @contextmanager
    def rung_by_signals(self, contained: Callable[[Handler], Handler]) -> Iterator[None]:
        """Makes SIGTERM, SIGINT, SIGHUP and SIGCHLD ring inside the block. Ignored signals stay so, except SIGCHLD.

        Args:
            contained: Wraps another signal handler of the program, so that it raises nothing.
        """
        handlers: dict[int, Handler] = {number: contained(handler) for number, handler in _handlers().items()}
        for asking in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(asking) is not signal.SIG_IGN:
                handlers[asking] = self._rung
        handlers[signal.SIGCHLD] = self._rung
        with ExitStack() as restored:
            previous = signal.set_wakeup_fd(self._pipe.writing, warn_on_full_buffer=False)
            restored.callback(_write_to, previous)
            for number, handler in handlers.items():
                restored.callback(_restore, number, signal.signal(number, handler), handler)
            yield

    def _rung(self, number: int, frame: Any) -> None:
        self.ring(number)  # although Python does: the program may have set another wake-up descriptor


def _handlers() -> dict[int, Handler]:
    """Returns the program's signal handlers."""
    found = {int(number): signal.getsignal(number) for number in signal.valid_signals()}
    return {number: handler for number, handler in found.items() if callable(handler)}


def _write_to(fd: int) -> None:
    """Restores the wake-up descriptor, if it can still be written to."""
    with suppress(OSError, ValueError):
        signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(fd)


def _restore(number: int, before: Any, ours: Handler) -> None:
    """Restores the previous handler of a signal, unless the program has set another one meanwhile."""
    if signal.getsignal(number) is ours:
        with suppress(OSError):
            signal.signal(number, signal.SIG_DFL if before is None else before)  # None: not set by Python

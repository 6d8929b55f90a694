"""What a supervisor is asked for, by signals and by calls, and what wakes it then."""

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
    """A pipe that wakes, and a queue of numbers of signals, which calls append likewise.

    Python writes to the pipe when a signal arrives, in whichever thread. It may be full, so it tells nothing else.
    """

    def __init__(self) -> None:
        self._asked: deque[int] = deque()
        self._pipe = Pipe()
        self.lock = threading.RLock()  # of the pipe; reentrant, for a signal's handler may ring too

    def fileno(self) -> int:
        """Returns the descriptor that is readable when it has rung."""
        return self._pipe.reading

    def ring(self, number: int) -> None:
        """Asks for what a signal does. From any thread; of a bell that is closed, it does nothing."""
        self._asked.append(number)
        with self.lock, suppress(OSError):  # it is closed: there is nobody to be told; or full: it rings anyway
            os.write(self._pipe.writing, b"\0")

    def empty(self) -> None:
        """It does not wake any more until it rings again."""
        os.read(self._pipe.reading, 4096)

    def asked(self) -> Iterator[int]:
        """What was asked for since."""
        while self._asked:
            yield self._asked.popleft()

    def close(self) -> None:
        with self.lock:
            self._pipe.close()

    @contextmanager
    def rung_by_signals(self, contained: Callable[[Handler], Handler]) -> Iterator[None]:
        """While it lasts, SIGTERM, SIGINT, SIGHUP and SIGCHLD ring. A signal that is ignored stays so, SIGCHLD aside.

        Args:
            contained: Makes of another handler of the program's one that raises nothing.
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
        self.ring(number)  # although Python does: the program may have it write to another descriptor


def _handlers() -> dict[int, Handler]:
    """The handlers of the program."""
    found = {int(number): signal.getsignal(number) for number in signal.valid_signals()}
    return {number: handler for number, handler in found.items() if callable(handler)}


def _write_to(fd: int) -> None:
    """Has Python write to that descriptor again, if it is still one that it can write to."""
    with suppress(OSError, ValueError):
        signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(fd)


def _restore(number: int, before: Any, ours: Handler) -> None:
    """A signal does what it did before, unless the program has chosen another handler meanwhile."""
    if signal.getsignal(number) is ours:
        with suppress(OSError):
            signal.signal(number, signal.SIG_DFL if before is None else before)  # None: none of Python's

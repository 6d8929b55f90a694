"""Standard input, read in a thread beside the reactor."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Callable

from .. import Reactor
from . import console

CHUNK = 1 << 18
SECONDS_IN_BACKGROUND = 0.5


class StandardInput:
    """Reads in a thread of its own, one piece at a time, and each only when it is requested.

    So it needs memory for only one piece, and a command reads no faster than it can send. The thread never keeps the
    process from ending.

    Args:
        reactor: The reactor that calls the functions.
        received: Called with each piece.
        ended: Called at the end with ``None``, or with the system's error.
    """

    def __init__(
        self, reactor: Reactor, received: Callable[[bytes], None], ended: Callable[[OSError | None], None]
    ) -> None:
        self._reactor = reactor
        self._received = received
        self._ended = ended
        self._wanted = threading.Semaphore(0)
        try:
            threading.Thread(target=self._work, name="standard input", daemon=True).start()
        except RuntimeError:
            console.fail("standard input: cannot start a thread to read it (ulimit -u shows how many are allowed)")

    def more(self) -> None:
        """Requests the next piece."""
        self._wanted.release()

    def _work(self) -> None:
        try:
            while self._wanted.acquire() and (data := _read()):
                self._reactor.call_soon_threadsafe(self._received, data)
            self._reactor.call_soon_threadsafe(self._ended, None)
        except OSError as error:
            self._reactor.call_soon_threadsafe(self._ended, error)
        except RuntimeError:
            pass  # the reactor was closed meanwhile


def _read() -> bytes:
    while True:
        try:
            return os.read(0, CHUNK)
        except OSError as error:
            # Another job has the terminal now; this one may get it back.
            if error.errno != errno.EIO or not os.isatty(0):
                raise
            time.sleep(SECONDS_IN_BACKGROUND)

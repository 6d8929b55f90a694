"""Log records of errors without a listener. Errors that peers provoke must neither fill a disk nor stop the reactor."""

from __future__ import annotations

import logging
import sys
import time
from contextlib import suppress

from ..engine.uncaught import leaves
from ..engine.unpatched import original

logger = logging.getLogger("serversocket")

RECORDS_PER_SECOND = 100

_second = 0.0  # when the current second began
_records = 0  # in the current second
_silenced = 0  # since the last record
_truncated = False  # the last record on stderr is incomplete


def log_error(error: BaseException, dispatcher: object, place: str = "") -> None:
    """Logs one error with its traceback. Records over the limit per second are dropped; the next one counts them.

    If the program has not configured logging, the record goes to stderr as with `logging.lastResort`, but the reactor
    never waits for stderr: output that it does not take at once is dropped and counted too.
    """
    global _second, _records, _silenced
    now = time.monotonic()
    if now - _second >= 1:
        _second, _records = now, 0
    if _records >= RECORDS_PER_SECOND:
        _silenced += 1
        return
    _records += 1
    silenced, _silenced = _silenced, 0
    left_out = f"; {silenced} more before it were not logged" if silenced else ""
    try:
        text, place = "uncaught error in %s%s", place or f"a listener of {dispatcher}"
        if logger.hasHandlers() or logging.lastResort is not _last_resort or _poll is None:
            logger.error(text, place, left_out, exc_info=error)
        elif logger.isEnabledFor(logging.ERROR):
            cause = type(error), error, error.__traceback__
            record = logger.makeRecord(logger.name, logging.ERROR, __file__, 0, text, (place, left_out), cause)
            if logger.filter(record) and not _write(logging.Formatter().format(record)):
                _silenced += silenced + 1
    except BaseException as failure:  # a filter of that logger may raise; the reactor continues
        if leaves(failure):
            raise


def _write(text: str) -> bool:
    """Writes to stderr without waiting for it. Returns True if it took everything.

    Stderr may be a pipe without a reader. It is shared with other processes, so making it non-blocking would break
    them. Instead, `poll` tells before each write if there is room.
    """
    global _truncated
    stream = sys.stderr
    if stream is not sys.__stderr__ or stream is None:
        if stream is not None:  # the program's own
            print(text, file=stream)
        return True
    assert _poll is not None
    number = stream.fileno()
    writable = _poll()
    writable.register(number, _POLLOUT)
    rest = memoryview((("\n" if _truncated else "") + text + "\n").encode(stream.encoding, "backslashreplace"))
    begun = False
    with suppress(OSError):  # it is closed, or its reader is gone
        while rest and [event for _, event in writable.poll(0)] == [_POLLOUT]:
            rest = rest[_os_write(number, rest[:_PIPE_BUF]) :]
            begun = True
    if begun:
        _truncated = bool(rest)
    return not rest


try:
    _poll, _POLLOUT, _PIPE_BUF = (original("select", name) for name in ("poll", "POLLOUT", "PIPE_BUF"))
except ImportError:  # on Windows
    _poll, _POLLOUT, _PIPE_BUF = None, 0, 0
_os_write = original("os", "write")
_last_resort = logging.lastResort

"""Log records of errors that nobody listens for; what peers can provoke must not fill a disk."""

from __future__ import annotations

import logging
import time
from contextlib import suppress

logger = logging.getLogger("serversocket")

RECORDS_PER_SECOND = 100

_second = 0.0  # when the present one began
_records = 0  # in the present second
_silenced = 0  # since the last record


def log_error(error: BaseException, dispatcher: object, place: str = "") -> None:
    """Logs one error with its traceback; beyond so many in a second, the next record tells how many were left out."""
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
    with suppress(Exception):  # a filter of that logger may raise; the reactor goes on
        logger.error("uncaught error in %s%s", place or f"a listener of {dispatcher}", left_out, exc_info=error)

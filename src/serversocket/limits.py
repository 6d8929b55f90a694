"""How much a connection may keep for the program, and for how long what happens to it may take."""

from __future__ import annotations

import math
from typing import SupportsIndex

from . import errors

__all__ = ["CONNECTION_LIMIT", "HIGH_WATER_MARK", "REACTOR_LIMIT", "as_limit", "as_mark", "as_seconds"]

HIGH_WATER_MARK = 64 * 1024
CONNECTION_LIMIT = 256 * 1024 * 1024
REACTOR_LIMIT = 1024 * 1024 * 1024

# What is left of a connection that was closed. Seconds.
STALLED_SECONDS = 60.0
"""In which the peer may fetch nothing of what is still to be sent."""
LINGER_SECONDS = 2.0
"""For the peer to close too, when it has fetched everything. It is looked for so often whether it still fetches."""
LONGEST_LINGER = 3600.0
"""After which it is over, however slowly the peer goes on fetching."""

_LARGEST = 2**62
_LONGEST = 2_000_000  # seconds; in milliseconds it must fit into 31 bits


def as_limit(value: SupportsIndex, parameter: str = "buffer_limit") -> int:
    """A number that is at least 1; larger ones than any machine can reach are cut."""
    number = _as_int(parameter, value)
    if number < 1:
        raise errors.out_of_bounds(parameter, f"{errors.shown(value)} is not positive")
    return min(number, _LARGEST)


def as_mark(value: SupportsIndex, parameter: str = "high_water_mark") -> int:
    """A number that is at least 0."""
    number = _as_int(parameter, value)
    if number < 0:
        raise errors.out_of_bounds(parameter, f"{errors.shown(value)} is negative")
    return number


def as_seconds(parameter: str, value: float | None) -> float:
    """Seconds, at least a millisecond; ``None`` and 0 are 0, which is off."""
    if value is None:
        return 0.0
    if isinstance(value, bool) or not (isinstance(value, int) or hasattr(type(value), "__float__")):
        raise errors.wrong_type(parameter, value, "a number of seconds or None")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf if value > 0 else -math.inf
    if not seconds >= 0:
        raise errors.out_of_bounds(parameter, f"{errors.shown(value)} is not a number of seconds that is 0 or more")
    if not seconds:
        return 0.0
    return min(max(seconds, 0.001), _LONGEST)


def _as_int(parameter: str, value: SupportsIndex) -> int:
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise errors.wrong_type(parameter, value, "an integer")
    return value.__index__()

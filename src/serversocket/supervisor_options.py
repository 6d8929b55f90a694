"""What the numbers of a `Supervisor` may be."""

from __future__ import annotations

import math
import operator
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from . import errors, worker

FROM_0 = "from 0 on"


def parse_workers(value: object) -> int:
    """The number of workers.

    Args:
        value: An int, or anything with ``__index__``; ``None`` for the number of usable cores.

    Raises:
        TypeError: Any other type, `bool` included.
        RangeError: Less than 1 (#2006).
    """
    if value is None:
        return _usable_cores()
    if isinstance(value, bool) or not hasattr(type(value), "__index__"):
        raise errors.wrong_type("workers", value, "an int or None")
    count = operator.index(value)  # type: ignore[arg-type]
    if count < 1:
        raise errors.out_of_bounds("Supervisor", f"{errors.shown(count)} workers are less than 1")
    return count


def _usable_cores() -> int:
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox forbids the question
            return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parse_seconds(name: str, value: object, wanted: str = "that is more than 0", *, or_none: bool = False) -> float:
    """A number of seconds, infinity included.

    Args:
        name: The parameter.
        value: An int, a float, or anything that is taken for one.
        wanted: Which numbers are allowed: these, or those `FROM_0`.
        or_none: Whether ``None`` is allowed too, as the text of the error says.

    Raises:
        TypeError: Any other type, `bool` included.
        RangeError: 0, negative or not-a-number (#2006).
    """
    if isinstance(value, bool) or not (hasattr(type(value), "__float__") or hasattr(type(value), "__index__")):
        raise errors.wrong_type(name, value, "a number of seconds or None" if or_none else "a number of seconds")
    try:
        seconds = float(value)  # type: ignore[arg-type]
    except OverflowError:
        seconds = math.inf if value > 0 else -math.inf  # type: ignore[operator]
    if not (seconds > 0 or (seconds == 0 and wanted == FROM_0)):
        raise errors.out_of_bounds("Supervisor", f"{name} {errors.shown(value)} is not a number of seconds {wanted}")
    return seconds


def parse_loop_factory(value: Any, setup: object) -> Callable[[], Any] | None:
    """What makes a loop of asyncio, or ``None``.

    Raises:
        TypeError: It cannot be called, or `setup` is no coroutine function and needs no loop.
    """
    if value is not None and not callable(value):
        raise errors.wrong_type("loop_factory", value, "callable or None")
    if value is not None and not worker.is_coroutine_function(setup):
        raise TypeError(f"loop_factory {errors.shown(value)} needs a setup that is a coroutine function, not {setup!r}")
    return value  # type: ignore[no-any-return]

"""Checks of a `Supervisor`'s number of workers and loop factory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from .. import errors
from ..checks import as_int
from . import worker


def parse_workers(value: object) -> int:
    """Returns the number of workers.

    Args:
        value: An int, or anything with ``__index__``; ``None`` for the number of usable cores.

    Raises:
        TypeError: It has any other type, `bool` included.
        RangeError: It is less than 1 (#2006).
    """
    if value is None:
        return _usable_cores()
    count = as_int("workers", value, "an int or None")
    if count < 1:
        raise errors.out_of_bounds("Supervisor", f"{errors.shown(count)} workers are less than 1")
    return count


def _usable_cores() -> int:
    if sys.platform == "linux":
        with suppress(OSError):  # a sandbox forbids the call
            return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parse_loop_factory(value: Any, setup: object) -> Callable[[], Any] | None:
    """Returns the function that makes the asyncio loops, or ``None``.

    Raises:
        TypeError: It is not callable, or `setup` is not a coroutine function and needs no loop.
    """
    if value is not None and not callable(value):
        raise errors.wrong_type("loop_factory", value, "callable or None")
    if value is not None and not worker.is_coroutine_function(setup):
        raise TypeError(f"loop_factory {errors.shown(value)} needs a setup that is a coroutine function, not {setup!r}")
    return value  # type: ignore[no-any-return]

"""How many dispatches may be inside each other: on a thread, and where there are greenlets, on each of these."""

from __future__ import annotations

import sys
from typing import Any

from .. import errors
from .unpatched import local

__all__ = ["BY_GREENLET", "nesting"]

_LIMIT = 256

BY_GREENLET = 1 << 20
"""What is added to the depth of a thread as soon as each of its greenlets counts for itself."""


class _Nesting(local):  # type: ignore[misc]
    """What the engines ask when a dispatch begins while others of the same thread are under way.

    These may surround it, or belong to other greenlets, which wait in a listener. The first one of a thread asks
    nothing, as most are; so one of those that are under way when greenlets are first met belongs to an unknown one. It
    counts for all until it ends.
    """

    def __init__(self) -> None:
        self._get_greenlet: Any = None
        self._own: dict[int, int] = {}  # by the identity of greenlets that are in a dispatch: they are not kept alive
        self._unknown = 0

    def enter(self, depth: int) -> int:
        """A dispatch begins.

        Args:
            depth: How many are under way on this thread, plus `BY_GREENLET` where each greenlet counts for itself.

        Returns:
            The same number, or from now on with `BY_GREENLET`.

        Raises:
            DispatchRecursionError: It would be inside of 256 others (#2094).
        """
        if depth < BY_GREENLET:
            self._get_greenlet = getattr(sys.modules.get("greenlet"), "getcurrent", None)
            if self._get_greenlet is None:
                _refuse(depth)
                return depth
            self._unknown = depth
            depth += BY_GREENLET
        greenlet = id(self._get_greenlet())
        own = self._own.get(greenlet, 0)
        _refuse(own + self._unknown)
        self._own[greenlet] = own + 1
        return depth

    def leave(self) -> None:
        """A dispatch ends; asked only where each greenlet counts for itself."""
        greenlet = id(self._get_greenlet())
        own = self._own.pop(greenlet, 0)
        if own > 1:
            self._own[greenlet] = own - 1
        elif not own:
            self._unknown -= 1


def _refuse(depth: int) -> None:
    if depth >= _LIMIT:
        raise errors.dispatch_overflow()


nesting = _Nesting()

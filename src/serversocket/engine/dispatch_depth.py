"""Limits how deeply dispatches nest: on a thread, and with greenlets, on each of these."""

from __future__ import annotations

import sys
from typing import Any

from .. import errors
from .unpatched import local

__all__ = ["BY_GREENLET", "nesting"]

_LIMIT = 256

BY_GREENLET = 1 << 20
"""Added to the depth of a thread as soon as its greenlets are counted separately."""


class _Nesting(local):  # type: ignore[misc]
    """Counts nested dispatches. The engines ask it when a dispatch begins while others of its thread are under way.

    The others may surround the new one, or belong to other greenlets, which wait in a listener. The first dispatch of a
    thread, the usual case, does not ask. So when greenlets are first met, one of the dispatches under way belongs to an
    unknown greenlet. It counts for all greenlets until it ends.
    """

    def __init__(self) -> None:
        self._get_greenlet: Any = None
        self._own: dict[int, int] = {}  # by the identity of greenlets that are in a dispatch: they are not kept alive
        self._unknown = 0

    def enter(self, depth: int) -> int:
        """Counts a dispatch that begins.

        Args:
            depth: The dispatches under way on this thread, plus `BY_GREENLET` if greenlets are counted separately.

        Returns:
            The same number, or from now on that with `BY_GREENLET` added.

        Raises:
            DispatchRecursionError: The dispatch would be inside 256 others (#2094).
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
        """Counts a dispatch that ends; called only if greenlets are counted separately."""
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

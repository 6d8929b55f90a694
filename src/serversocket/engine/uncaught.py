"""Which exceptions of a listener become ``uncaughtError``, and which leave the reactor."""

from __future__ import annotations

import sys

__all__ = ["leaves"]


def leaves(error: BaseException) -> bool:
    """Returns True if an exception out of a listener, a timer or a call has to leave the reactor.

    `KeyboardInterrupt` and `SystemExit` end a program, and greenlet's ``GreenletExit`` ends a greenlet; so they do as a
    part of a group. All others concern the listener alone, as in asyncio: `asyncio.CancelledError` and `GeneratorExit`
    out of it end nothing else.

    Example:
        >>> import asyncio
        >>> leaves(KeyboardInterrupt()), leaves(asyncio.CancelledError()), leaves(ValueError())
        (True, False, False)
    """
    if isinstance(error, Exception):
        return False
    ending: tuple[type[BaseException], ...] = (KeyboardInterrupt, SystemExit)
    greenlet_exit = getattr(sys.modules.get("greenlet"), "GreenletExit", None)
    if greenlet_exit is not None:
        ending += (greenlet_exit,)
    if isinstance(error, BaseExceptionGroup):
        return error.subgroup(ending) is not None
    return isinstance(error, ending)

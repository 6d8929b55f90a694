"""Checks of listeners: coroutine functions are refused, names that are nearly an event's cause a warning."""

from __future__ import annotations

import sys
import warnings
import weakref
from functools import lru_cache, partial
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any, Final

from .. import errors

__all__ = ["MAKES_COROUTINE", "refuse_coroutine_function", "warn_of_name"]

MAKES_COROUTINE: Final = 0x80 | 0x200
"""The flags CO_COROUTINE and CO_ASYNC_GENERATOR of a code object."""


def refuse_coroutine_function(parameter: str, call: Any) -> None:
    """Refuses a callable that returns a coroutine or an asynchronous generator: nothing would ever run that.

    Args:
        parameter: The name of the parameter, for the error's text.
        call: The callable: a function, a method, a partial one, or an object with `__call__`.

    Raises:
        TypeError: It is such a function, or its `__call__` is.
    """
    if _makes_coroutine(call):
        raise errors.coroutine_function(parameter, call)


def _makes_coroutine(call: Any) -> bool:
    while (kind := type(call)) is not FunctionType:
        if kind is MethodType:
            call = call.__func__
        elif isinstance(call, partial):
            call = call.func
        elif kind is BuiltinMethodType or kind is type:
            return False
        elif type(kind.__call__) is FunctionType and not hasattr(call, "__code__"):
            call = kind.__call__  # of an object
        else:
            return _seems_asynchronous(call)
    return bool(call.__code__.co_flags & MAKES_COROUTINE)


def _seems_asynchronous(call: Any) -> bool:
    """Returns True if a callable that is no Python function, such as a compiled one or a mock, is asynchronous."""
    from inspect import isasyncgenfunction, iscoroutinefunction  # noqa: PLC0415 - it takes long to load

    return iscoroutinefunction(call) or isasyncgenfunction(call)


# ------------------------------------------------------------------------------------------- names of events

# The names of these events in other libraries: Node, the browser's WebSocket, Twisted, asyncio.
_ELSEWHERE: dict[str, str] = {
    "connect": "connection connected connectionmade accept",
    "socketData": "data message datareceived receive received",
    "outputProgress": "drain",
    "end": "eof eofreceived",
    "close": "closed disconnect disconnected connectionlost",
    "ioError": "error",
    "uncaughtError": "error exception uncaughtexception",
}

_SHORTEST = 5  # letters; of shorter names, one more or less often makes another word
_LONG = 8  # letters; of shorter names, another one in its place does

_warned: weakref.WeakKeyDictionary[type, set[str]] = weakref.WeakKeyDictionary()


def warn_of_name(dispatcher: Any, name: str) -> None:
    """Warns, once for a class and a name, if a listener's type is nearly the name of an event, and so never comes.

    Any other name passes: programs dispatch events of their own.

    Args:
        dispatcher: The dispatcher of the listener. Its class lists in `_dispatched` the events that it dispatches.
        name: The type of event that is listened for.
    """
    dispatched = getattr(dispatcher, "_dispatched", None)
    if dispatched is None:
        return
    meant = _meant(name, dispatched)
    cls = type(dispatcher)
    if meant is None or name in _warned.get(cls, ()):
        return
    text = f"{cls.__name__} does not dispatch {errors.shown(name)} by itself: did you mean {meant!r}?"
    _warned.setdefault(cls, set()).add(name)  # first: the code that shows the warning may add listeners
    try:
        warnings.warn(text, UserWarning, stacklevel=_level_of_program())
    except UserWarning:
        _warned[cls].discard(name)
        raise


@lru_cache(maxsize=256)
def _meant(name: str, dispatched: frozenset[str]) -> str | None:
    """Returns the dispatched event that a name is likely meant for; ``None`` if it is one itself, or like none."""
    if name in dispatched:
        return None
    ours = {each.casefold(): each for each in sorted(dispatched)}
    words = ours | {word: each for each in ours.values() for word in _ELSEWHERE.get(each, "").split()}
    word = "".join(filter(str.isalnum, name)).casefold()
    for each in (word, word.removeprefix("on")):
        if each in words:
            return words[each]
    return next((each for known, each in ours.items() if _mistyped(word, known)), None)


def _mistyped(word: str, known: str) -> bool:
    """Returns True if a word is a known one with a letter more or less, two exchanged, or another one if it is long."""
    if len(known) < _SHORTEST or abs(len(word) - len(known)) > 1:
        return False
    if len(word) == len(known):
        wrong = [pair for pair in zip(word, known, strict=True) if pair[0] != pair[1]]
        exchanged = len(wrong) == 2 and wrong[0] == wrong[1][::-1]
        return exchanged or (len(wrong) == 1 and len(known) >= _LONG)
    shorter, longer = sorted((word, known), key=len)
    return any(longer[:place] + longer[place + 1 :] == shorter for place in range(len(longer)))


def _level_of_program() -> int:
    """Returns the `stacklevel` for `warnings.warn` in the calling function: the first frame outside this package."""
    package = __name__.partition(".")[0]
    level, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").partition(".")[0] == package:
        level, frame = level + 1, frame.f_back
    return level

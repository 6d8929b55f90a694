"""The async library that a coroutine runs in, and how tasks wait and begin there: asyncio with any loop, or trio."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import Any, NamedTuple, Protocol

__all__ = ["Group", "Library", "Waiter", "current_library", "in_trio", "running_loop", "running_trio"]


class Waiter(Protocol):
    """What one task waits for: the part of `asyncio.Future` that is needed here."""

    def done(self) -> bool: ...
    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: Any, /) -> None: ...
    def __await__(self) -> Generator[Any, Any, Any]: ...


class Group(Protocol):
    """Tasks that end together."""

    def start_soon(self, function: Callable[..., Any], /, *args: Any) -> object: ...


class Library(NamedTuple):
    """What is asked of an async library."""

    create_waiter: Callable[[], Waiter]
    #: Lets others run, and be cancelled, where nothing has to be waited for; ``None`` where that is not the custom.
    checkpoint: Callable[[], Awaitable[None]] | None
    open_group: Callable[[], AbstractAsyncContextManager[Group, Any]]


def running_loop() -> Any | None:
    """The asyncio loop that runs in this thread, or ``None``; asyncio is not imported for the question."""
    asyncio_events = sys.modules.get("asyncio.events")
    return None if asyncio_events is None else asyncio_events._get_running_loop()


def running_trio() -> Any | None:
    """What stands for the run of trio in this thread, or ``None``; trio is not imported for the question."""
    lowlevel = sys.modules.get("trio.lowlevel")
    return lowlevel.current_trio_token() if lowlevel is not None and lowlevel.in_trio_run() else None


def in_trio() -> bool:
    """Whether a task of trio runs in this thread, perhaps inside a loop of asyncio."""
    lowlevel = sys.modules.get("trio.lowlevel")
    return lowlevel is not None and lowlevel.in_trio_task()


def current_library(call: str) -> Library:
    """The library that the calling task runs in.

    Args:
        call: What needs it, for the text of the error.

    Raises:
        RuntimeError: There is none: the call is not made from a coroutine.
    """
    library: Library
    if in_trio():
        library = import_module(".on_trio", __name__).LIBRARY
        return library
    loop = running_loop()
    if loop is not None:
        library = import_module(".on_asyncio", __name__).library(loop)
        return library
    raise RuntimeError(f"{call} is for coroutines: no loop of asyncio and no trio runs in this thread")

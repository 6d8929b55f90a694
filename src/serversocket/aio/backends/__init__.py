"""The async library that a coroutine runs in, and how tasks wait and begin there: asyncio with any loop, or trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import Any, Protocol

from ...loop.running import in_trio, running_loop

__all__ = ["Group", "Library", "Waiter", "current_library"]


class Waiter(Protocol):
    """What one task waits for: the part of `asyncio.Future` that is needed here."""

    def done(self) -> bool: ...
    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: Any, /) -> None: ...
    def finish_soon(self, exception: BaseException | None = None) -> None: ...
    def __await__(self) -> Generator[Any, Any, Any]: ...


class Group(Protocol):
    """Tasks that end together."""

    def start_soon(self, function: Callable[..., Any], /, *args: Any) -> object: ...


class Library:
    """What is asked of an async library, by a server and its clients or by one connection.

    Args:
        create_waiter: Makes a `Waiter`.
        open_group: Makes a `Group`.
        checkpoint: Lets others run, and be cancelled.
        allowance: So many calls in a row may return without having waited; then comes a checkpoint. Where each call
            has to be one, it is 0.
    """

    __slots__ = ("_checkpoint", "allowance", "create_waiter", "open_group", "unwaited")

    def __init__(
        self,
        create_waiter: Callable[[], Waiter],
        open_group: Callable[[], AbstractAsyncContextManager[Group, Any]],
        checkpoint: Callable[[], Awaitable[None]],
        allowance: int,
    ) -> None:
        self.create_waiter = create_waiter
        self.open_group = open_group
        self._checkpoint = checkpoint
        self.allowance = allowance
        self.unwaited = 0  # calls, since somebody has waited

    def owes_checkpoint(self) -> bool:
        """Whether a call that does not wait has to let others run first, and be cancelled; it counts as one."""
        self.unwaited += 1
        return self.unwaited > self.allowance

    async def checkpoint(self) -> None:
        self.unwaited = 0
        await self._checkpoint()

    def with_checkpoints(self) -> Library:
        """The same, with a checkpoint in each call."""
        return Library(self.create_waiter, self.open_group, self._checkpoint, 0)


def current_library(call: str) -> Library:
    """The library that the calling task runs in.

    Args:
        call: What needs it, for the text of the error.

    Raises:
        RuntimeError: There is none: the call is not made from a coroutine.
    """
    library: Library
    if in_trio():
        library = import_module(".trio", __name__).LIBRARY
        return library
    loop = running_loop()
    if loop is not None:
        library = import_module(".asyncio", __name__).library(loop)
        return library
    raise RuntimeError(f"{call} is for coroutines: no loop of asyncio and no trio runs in this thread")

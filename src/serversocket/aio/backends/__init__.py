"""The async library that a coroutine runs in, and how its tasks wait and start: asyncio with any loop, or trio."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from contextlib import AbstractAsyncContextManager
from importlib import import_module
from typing import Any, Protocol

from ...loop.running import in_trio, running_loop

__all__ = ["Group", "Library", "Waiter", "current_library"]


class Waiter(Protocol):
    """An object that one task awaits: the part of `asyncio.Future` that is needed here."""

    def done(self) -> bool: ...
    def set_result(self, result: Any, /) -> None: ...
    def set_exception(self, exception: Any, /) -> None: ...
    def finish_soon(self, exception: BaseException | None = None) -> None: ...
    def __await__(self) -> Generator[Any, Any, Any]: ...


class Group(Protocol):
    """Tasks that end together."""

    def start_soon(self, function: Callable[..., Any], /, *args: Any) -> object: ...


class Library:
    """The functions of an async library, used by a server and its clients or by one connection.

    Args:
        create_waiter: Makes a `Waiter`.
        open_group: Makes a `Group`.
        checkpoint: Lets other tasks run, and this task be cancelled.
        allowance: How many calls in a row may return without waiting, before a checkpoint is due. 0 if each call has to
            be a checkpoint.
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
        self.unwaited = 0  # calls since the last wait

    def owes_checkpoint(self) -> bool:
        """Returns True if a call that does not wait has to make a checkpoint first; counts the call."""
        self.unwaited += 1
        return self.unwaited > self.allowance

    async def checkpoint(self) -> None:
        self.unwaited = 0
        await self._checkpoint()

    def with_checkpoints(self) -> Library:
        """Returns the same library with a checkpoint in each call."""
        return Library(self.create_waiter, self.open_group, self._checkpoint, 0)


def current_library(call: str) -> Library:
    """Returns the library that the calling task runs in.

    Args:
        call: The call that needs it, for the text of the error.

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
    raise RuntimeError(f"{call} is for coroutines: neither an asyncio loop nor trio is running in this thread")

"""asyncio, with any of its loops. Imported only if one is running."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from types import TracebackType
from typing import Any, Self

from ...engine import LoopWaiter
from . import Library

#: An iteration of the loop costs as much as two or three calls, and so few calls without waiting delay no other task.
ALLOWANCE = 64


class _Group:
    """Tasks that end together, like those of `asyncio.TaskGroup`; but a task that fails does not cancel the others.

    A task costs a third less, because it removes itself in its own last step, without a callback of the loop.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._tasks: set[asyncio.Task[object]] = set()

    def start_soon(self, function: Callable[..., Coroutine[Any, Any, object]], /, *args: Any) -> None:
        task: asyncio.Task[object] | None = None

        async def run() -> None:
            try:
                await function(*args)
            finally:
                self._tasks.discard(task)

        task = self._loop.create_task(run())
        if not task.done():  # an eager one may be
            self._tasks.add(task)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None:
            self._cancel()
        cancelled: asyncio.CancelledError | None = None
        while self._tasks:
            try:
                done, _ = await asyncio.wait(self._tasks)
            except asyncio.CancelledError as again:
                cancelled = again
                self._cancel()
            else:
                self._tasks -= done
        if cancelled is not None and error is None:
            raise cancelled

    def _cancel(self) -> None:
        for task in self._tasks:
            task.cancel()


def library(loop: asyncio.AbstractEventLoop) -> Library:
    create_waiter = partial(LoopWaiter, loop, asyncio.current_task, asyncio._get_running_loop)
    return Library(create_waiter, _Group, partial(asyncio.sleep, 0), ALLOWANCE)

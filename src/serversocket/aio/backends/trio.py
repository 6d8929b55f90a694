"""trio. Imported only if it is running."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import trio
from trio import lowlevel

from . import Library


class TrioWaiter:
    """A `Waiter`, for one task to await once."""

    __slots__ = ("_done", "_exception", "_result", "_task")

    def __init__(self) -> None:
        self._done = False
        self._result: Any = None
        self._exception: BaseException | None = None
        self._task: lowlevel.Task | None = None

    def done(self) -> bool:
        return self._done

    def set_result(self, result: Any) -> None:
        self._result = result
        self._wake()

    def set_exception(self, exception: BaseException) -> None:
        self._exception = exception
        self._wake()

    def finish_soon(self, exception: BaseException | None = None) -> None:
        self._exception = exception
        self._wake()

    def _wake(self) -> None:
        self._done = True
        task, self._task = self._task, None
        if task is not None:
            lowlevel.reschedule(task)

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._wait().__await__()

    async def _wait(self) -> Any:
        if self._done:
            await lowlevel.checkpoint()
        else:
            self._task = lowlevel.current_task()
            await lowlevel.wait_task_rescheduled(self._abort)
        if self._exception is not None:
            raise self._exception
        return self._result

    def _abort(self, _: Callable[[], object]) -> lowlevel.Abort:
        self._task = None
        self._done = True  # no task waits for it any more
        return lowlevel.Abort.SUCCEEDED


LIBRARY = Library(TrioWaiter, trio.open_nursery, lowlevel.checkpoint, 0)

"""`LoopWaiter`: has a task of asyncio wait for an event."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextvars import Context
from importlib import import_module
from typing import TYPE_CHECKING, Any

from ... import errors

if TYPE_CHECKING:
    import asyncio


class LoopWaiter:
    """A future that runs its task directly; one task awaits it, once.

    `asyncio.Future` has the loop call the task in its next round. The events of a reactor come from the loop already,
    in a callback of its own, while no task runs: so the task is stepped at once, which saves a round for each
    message. If another task wakes it, or a program whose loop does not run, that is impossible, and the loop calls the
    task as usual.

    A task accepts as a future any object with `_asyncio_future_blocking` and these methods.

    Args:
        loop: The loop that the task runs in.
        current_task: `asyncio.current_task`.
        running_loop: `asyncio._get_running_loop`.
    """

    __slots__ = (
        "_asyncio_future_blocking",
        "_callback_",
        "_context_",
        "_current_task_",
        "_exception_",
        "_loop_",
        "_over_",
        "_running_loop_",
        "_value_",
    )

    def __init__(
        self, loop: asyncio.AbstractEventLoop, current_task: Callable[[Any], object], running_loop: Callable[[], object]
    ) -> None:
        self._asyncio_future_blocking = False
        self._loop_ = loop
        self._current_task_ = current_task
        self._running_loop_ = running_loop
        self._over_ = False
        self._value_: Any = None
        self._exception_: BaseException | None = None
        self._callback_: Callable[[Any], object] | None = None

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop_

    def done(self) -> bool:
        return self._over_

    def result(self) -> Any:
        if self._exception_ is not None:
            raise self._exception_
        return self._value_

    def set_result(self, result: Any, /) -> None:
        self._value_ = result
        self._wake_()

    def set_exception(self, exception: BaseException, /) -> None:
        self._exception_ = exception
        self._wake_()

    def finish_soon(self, exception: BaseException | None = None) -> None:
        """As `set_exception` or `set_result`, for callers in which no task may run: the loop steps the task later."""
        self._exception_ = exception
        self._over_ = True
        self._wake_soon_()

    def cancel(self, msg: object = None) -> bool:
        if self._over_:
            return False
        cancelled = import_module("asyncio").CancelledError
        self._exception_ = cancelled() if msg is None else cancelled(msg)
        self._over_ = True
        self._wake_soon_()
        return True

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Context) -> None:
        self._callback_ = callback
        self._context_ = context
        if self._over_:
            self._wake_soon_()

    def _wake_(self) -> None:
        self._over_ = True
        callback = self._callback_
        if callback is None:
            return
        if self._running_loop_() is not self._loop_ or self._current_task_(self._loop_) is not None:
            self._wake_soon_()
            return
        self._callback_ = None
        try:
            self._context_.run(callback, self)
        except RuntimeError:  # the caller runs in the task's own context, which cannot be entered twice
            self._callback_ = callback
            self._wake_soon_()

    def _wake_soon_(self) -> None:
        callback, self._callback_ = self._callback_, None
        if callback is not None and not self._loop_.is_closed():
            self._loop_.call_soon(callback, self, context=self._context_)

    def __await__(self) -> Generator[Any, Any, Any]:
        if not self._over_:
            self._asyncio_future_blocking = True
            try:
                yield self
            except RuntimeError:
                # The loop refuses a future of another loop.
                if not self._over_ and self._running_loop_() is not self._loop_:
                    raise errors.another_loop() from None
                raise
        return self.result()

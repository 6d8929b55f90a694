"""A worker whose `setup` is a coroutine function: it runs in an asyncio loop. Imported only in such a worker."""

from __future__ import annotations

import asyncio
import inspect
import signal
from collections.abc import Callable
from typing import Any

from ..loop.reactor import Reactor
from ..net.server import ServerSocket
from .worker import AsyncSetup, Farewell, Ties, as_farewell, ignored, unblock_signals

LOOK_AGAIN = 0.05  # seconds between checks, while the worker drains


def serve(setup: AsyncSetup, listener: int, ties: Ties, loop_factory: Callable[[], Any] | None) -> None:
    """Serves until the coroutine has returned, the server is closed, and nothing else is open."""
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        runner.run(_Life(setup, ties).run(listener))


class WorkerSocket(ServerSocket):
    """A server that calls a function when a listener is added to it."""

    def __init__(self, listened_to: Callable[[], object]) -> None:
        super().__init__()
        self._listened_to = listened_to

    def add_event_listener(self, *args: Any, **options: Any) -> None:
        super().add_event_listener(*args, **options)
        self._listened_to()


class _Life:
    """The worker's life. It accepts as soon as `connect` has a listener, at the latest when its coroutine returns."""

    def __init__(self, setup: AsyncSetup, ties: Ties) -> None:
        self._setup = setup
        self._ties = ties
        self._accepts = False
        self._over = asyncio.Event()  # the server is closed

    async def run(self, listener: int) -> None:
        server = self._server = WorkerSocket(self._listened_to)
        reactor: Reactor = server.reactor
        signal.signal(signal.SIGTERM, ignored)  # restored when the loop is closed, while the worker exits
        reactor.on_signal(signal.SIGTERM, self._leave)
        unblock_signals()
        server._inherit(listener)
        server._follow(self)
        server.add_event_listener("close", self._over.set)
        farewell = as_farewell(await self._setup(server))
        serves_on = server.bound
        if serves_on:
            self._accept()
            await self._over.wait()
        await _call(farewell)
        # A coroutine that serves until the end has waited for its tasks itself: those that are left are cancelled.
        while (serves_on and len(asyncio.all_tasks()) > 1) or not reactor._is_idle():  # noqa: ASYNC110
            await asyncio.sleep(LOOK_AGAIN)  # there is no event for it

    def closed_here(self) -> None:
        """Ends the wait: the worker was told to end, or its program has closed the server."""
        self._over.set()

    def _listened_to(self) -> None:
        if not self._accepts and self._server.has_event_listener("connect"):
            asyncio.get_running_loop().call_soon(self._accept)  # after the current step has set everything up

    def _accept(self) -> None:
        if not self._accepts:
            self._accepts = True
            self._ties.accepts(self._server.reactor)

    def _leave(self) -> None:
        if self._server.bound:
            self._server.close()


async def _call(farewell: Farewell | None) -> None:
    if farewell is not None:
        result = farewell()
        if inspect.isawaitable(result):
            await result

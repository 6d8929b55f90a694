"""`EventDispatcher.once`: a coroutine waits for one event."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from contextlib import suppress
from typing import Any

from .. import errors
from ..engine import Acceptor, EventDispatcher, Source, Stream, extend_type
from ..events import Event, IOErrorEvent
from .backends import current_library

# The events that end the wait for any other event, by the class of the dispatcher.
_FAILURES = (
    (Stream, ("ioError", "close")),
    (Acceptor, ("close",)),  # its ioError concerns one client; the next one may succeed
)


class _Expectation:
    """The listeners of one wait. They have no reference to the awaitable, so one that is dropped can be collected."""

    __slots__ = ("_dispatcher", "_type", "_types", "waiter")

    def __init__(self, dispatcher: EventDispatcher, type: str) -> None:
        self.waiter = current_library("once()").create_waiter()
        self._dispatcher = dispatcher
        self._type = type
        failures = next((types for cls, types in _FAILURES if isinstance(dispatcher, cls)), ())
        self._types = (type, *failures)  # in this order: the first may be refused
        for each in self._types:
            dispatcher.add_event_listener(each, self._happened)
        if isinstance(dispatcher, Source):
            dispatcher._follow(self)

    def _happened(self, event: Event) -> None:
        self.forget()
        if self.waiter.done():
            return
        if event.type == self._type:
            self.waiter.set_result(event)
        elif isinstance(event, IOErrorEvent):
            self.waiter.set_exception(event.error)
        else:
            self.waiter.set_exception(errors.invalid_socket("once", f"closed before {self._type!r} came"))

    def closed_here(self) -> None:
        """Fails the wait: the program has closed the dispatcher, which causes no event."""
        self.forget()
        if not self.waiter.done():
            reason = f"the socket was closed on this side before {self._type!r} came"
            self.waiter.finish_soon(errors.invalid_socket("once", reason))

    def forget(self) -> None:
        for each in self._types:
            self._dispatcher.remove_event_listener(each, self._happened)
        if isinstance(self._dispatcher, Source):
            self._dispatcher._unfollow(self)


class _Once(Coroutine[Any, Any, Event]):
    """One event of a dispatcher, to be awaited or made an asyncio task.

    It is not an `async def`, because that could not remove its listeners if it is closed before its first step.
    """

    __slots__ = ("_expectation", "_steps")

    def __init__(self, dispatcher: EventDispatcher, type: str) -> None:
        self._expectation = _Expectation(dispatcher, type)
        self._steps: Generator[Any, Any, Event] | None = None

    def __await__(self) -> Generator[Any, Any, Event]:
        try:
            event: Event = yield from self._expectation.waiter.__await__()
        finally:
            self._expectation.forget()
        return event

    def send(self, value: Any, /) -> Any:
        if self._steps is None:
            self._steps = self.__await__()
        return self._steps.send(value)

    def throw(self, *error: Any) -> Any:
        self._expectation.forget()
        return (self._steps or self.__await__()).throw(*error)

    def close(self) -> None:
        self._expectation.forget()
        if self._steps is not None:
            self._steps.close()

    def __del__(self) -> None:
        if hasattr(self, "_expectation"):
            with suppress(RuntimeError):  # collected in another thread
                self._expectation.forget()


def once(self: EventDispatcher, type: str) -> Coroutine[Any, Any, Event]:
    """Returns the next event of a type, for a coroutine to await. It listens from the call on, not from the `await`.

    Args:
        type: The type of the event, such as ``"connect"``.

    Returns:
        A coroutine, which may be awaited or made a task; its result is the event. It stops listening when it has ended,
        is cancelled or is dropped. If an ``ioError`` of a `Socket` comes first, `IOErrorEvent.error` is raised; if a
        ``close`` of a `Socket` or `ServerSocket` comes first, an `IOError`. The program's own `close` and `abort`, and
        the close of the reactor, raise `IOError` (#2002), too.

    Raises:
        TypeError: `type` is not a string.
        RuntimeError: The call does not come from a coroutine of asyncio or trio.

    Example:
        >>> import asyncio, serversocket
        >>> async def main():
        ...     with serversocket.ServerSocket() as server:
        ...         server.bind(0, "127.0.0.1")
        ...         server.listen()
        ...         coming = server.once("connect")
        ...         with serversocket.Socket("127.0.0.1", server.local_port):
        ...             event = await coming
        ...         event.socket.close()
        ...         return event.type
        >>> asyncio.run(main())
        'connect'
    """
    return _Once(self, type)


extend_type(EventDispatcher, "once", once)

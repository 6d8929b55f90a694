"""`AsyncServer`: a server, for coroutines."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

from .. import errors
from ..loop.reactor import report_error
from ..naming import with_as3_names
from ..net.addresses import Host
from .backends import Library, Waiter, current_library
from .sockets import AsyncSocket, close_forgotten

if TYPE_CHECKING:
    from .. import Event, ServerSocket, ServerSocketConnectEvent
else:
    from ..net.server import ServerSocket

#: So many connections wait for the program; more stay with the system, in the backlog.
ACCEPT_AHEAD = 128

Handler = Callable[[AsyncSocket], Awaitable[object]]


class _Arrivals:
    """What the events of a server do, and who waits for its clients.

    The listeners are here and hold nothing of `AsyncServer`, so that one which the program has forgotten is collected.
    """

    __slots__ = ("_library", "_listening", "acceptors", "begun", "clients", "end", "hand_over", "over", "server")

    def __init__(self, server: Any, library: Library) -> None:
        self.server = server
        self._library = library
        self._listening = False  # to `connect` events: while there is room for more clients
        self.clients: deque[AsyncSocket] = deque()
        self.acceptors: deque[Waiter] = deque()
        self.hand_over: Callable[[AsyncSocket], object] | None = None  # begins a task that serves a client
        self.begun: set[AsyncSocket] = set()  # handed over to tasks that have not made their first step
        self.end: Waiter | None = None  # what `serve` waits for
        self.over = False  # no more clients will come
        server.add_event_listener("close", self._closed)
        server._follow(self)
        self.take_more()

    def take_more(self) -> None:
        if not (self._listening or self.over) and self.server.listening and len(self.clients) < ACCEPT_AHEAD:
            self._listening = True
            self.server.add_event_listener("connect", self._connected)

    def _connected(self, event: ServerSocketConnectEvent) -> None:
        socket = event.socket
        if socket is None or not socket.connected:
            return
        client = AsyncSocket(socket, _library=self._library)
        if self.hand_over is not None and not self.acceptors:
            self._begin(client, self.hand_over)
            return
        self.clients.append(client)
        self.wake_acceptor()
        if len(self.clients) >= ACCEPT_AHEAD:
            self._listening = False
            self.server.remove_event_listener("connect", self._connected)

    def wake_acceptor(self) -> None:
        """Has a task take a client that waits; where each of them was cancelled, `serve` does."""
        while self.acceptors:
            waiter = self.acceptors.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return
        self.begin_all()

    def begin_all(self) -> None:
        while self.clients and self.hand_over is not None:
            self._begin(self.clients.popleft(), self.hand_over)
        self.take_more()

    def _begin(self, client: AsyncSocket, hand_over: Callable[[AsyncSocket], object]) -> None:
        self.begun.add(client)
        hand_over(client)

    def _closed(self, _event: Event) -> None:
        self._let_go()

    def close(self) -> list[AsyncSocket]:
        """Closes, the clients that nobody has taken included, and returns these."""
        if not self.over and self.server.bound:
            self.server.close()  # tells closed_here
        closed = list(self.clients)
        self.clients.clear()
        for client in closed:
            client.close()
        return closed

    def closed_here(self) -> None:
        """The server was closed at this end, perhaps below this object: no event tells who waits."""
        self._let_go()

    def _let_go(self) -> None:
        self.server.remove_event_listener("connect", self._connected)
        self.server.remove_event_listener("close", self._closed)
        self.server._unfollow(self)
        self._listening = False
        self.over = True
        acceptors, self.acceptors = self.acceptors, deque()
        for waiter in acceptors:
            if not waiter.done():
                waiter.finish_soon(errors.not_open("accept"))
        if self.end is not None and not self.end.done():
            self.end.finish_soon()


@with_as3_names
class AsyncServer:
    """A listening `ServerSocket` whose clients coroutines wait for. `listen` makes them.

    Use it as ``async with`` says: leaving the block stops listening, and closes the connections that nobody has taken.
    Those that were taken live on. One that is forgotten stops listening when it is collected, with a `ResourceWarning`.

    Args:
        server: The listening server socket; from here on its clients come to this object.

    Raises:
        IOError: The server does not listen (#2002).
        RuntimeError: The call does not come from a coroutine of asyncio or trio.

    Example:
        >>> import asyncio, serversocket
        >>> async def greet(client):
        ...     await client.send(b"hello")
        >>> async def main():
        ...     async with serversocket.aio.listen(0, "127.0.0.1") as server, asyncio.TaskGroup() as tasks:
        ...         serving = tasks.create_task(server.serve(greet))
        ...         async with await serversocket.aio.connect("127.0.0.1", server.local_port) as client:
        ...             print(await client.receive_exactly(5))
        ...         server.close()  # `serve` returns when the handlers have
        >>> asyncio.run(main())
        b'hello'
    """

    __slots__ = ("__weakref__", "_arrivals", "_library", "server")

    server: ServerSocket
    """The server socket itself, with its limits and counters."""

    def __init__(self, server: ServerSocket) -> None:
        self._library: Library = current_library(type(self).__name__)
        if not server.listening:
            raise errors.not_open(type(self).__name__)
        self.server = server
        self._arrivals = _Arrivals(server, self._library)

    def __del__(self) -> None:
        if hasattr(self, "_arrivals") and self.server.bound:
            close_forgotten(self, self.server.reactor, self._arrivals.close)

    # ---- clients

    async def accept(self) -> AsyncSocket:
        """Waits for the next client. Several tasks may.

        Returns:
            The connection, which has to be closed.

        Raises:
            IOError: The server does not listen any more (#2002).
            RuntimeError: The server belongs to another thread, or to another loop.

        Example:
            >>> async def first_client(server):
            ...     async with await server.accept() as client:
            ...         await client.send(b"you are the first")
        """
        reactor: Any = self.server.reactor
        reactor._check_thread()
        if self._library.owes_checkpoint():
            await self._library.checkpoint()
        arrivals = self._arrivals
        while not arrivals.clients:
            if arrivals.over or not self.server.listening:
                raise errors.not_open("accept")
            waiter = self._library.create_waiter()
            arrivals.acceptors.append(waiter)
            try:
                await waiter
            except BaseException:
                if waiter in arrivals.acceptors:
                    arrivals.acceptors.remove(waiter)
                else:
                    arrivals.wake_acceptor()  # it was woken for a client that another one can take
                raise
        client = arrivals.clients.popleft()
        arrivals.take_more()
        return client

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> AsyncSocket:
        try:
            return await self.accept()
        except errors.IOError:
            if self.server.listening:
                raise
            raise StopAsyncIteration from None

    async def serve(self, handler: Handler) -> None:
        """Calls a coroutine function for each client, in a task of its own, until the server is closed.

        When the handler returns, its client is closed. What it raises becomes an ``uncaughtError`` event of the
        reactor or else a log record, and the others go on. Errors that only report how this connection ended are not
        logged: that it broke, ended inside a message, or was closed on this side, alone or in an exception group. Once
        the server is closed, the handlers that run are waited for; if this task is cancelled, so are they.

        Args:
            handler: Called with an `AsyncSocket`.

        Raises:
            TypeError: `handler` cannot be called.
            RuntimeError: Another task does this already.

        Example:
            >>> async def echo(client):
            ...     async for chunk in client:
            ...         await client.send(chunk)
            >>> async def main():
            ...     async with serversocket.aio.listen(8080) as server:
            ...         await server.serve(echo)
        """
        if not callable(handler):
            raise errors.wrong_type("handler", handler, "a coroutine function")
        arrivals = self._arrivals
        if arrivals.hand_over is not None:
            raise RuntimeError("serve() is under way already")
        try:
            async with self._library.open_group() as group:
                arrivals.hand_over = partial(group.start_soon, self._serve, handler)
                try:
                    arrivals.begin_all()
                    while self.server.listening and not arrivals.over:
                        arrivals.end = self._library.create_waiter()
                        await arrivals.end
                finally:
                    arrivals.hand_over = arrivals.end = None
        finally:
            while arrivals.begun:  # their tasks were cancelled before the first step
                arrivals.begun.pop().close()

    async def _serve(self, handler: Handler, client: AsyncSocket) -> None:
        self._arrivals.begun.discard(client)
        try:
            await handler(client)
        except Exception as error:
            unexpected = client._flow.besides_end(error)
            if unexpected is not None:
                report_error(unexpected, client.socket, f"the handler of {client!r}")
        except BaseException as error:
            await client._leave(error)
            raise
        await client.aclose()

    # ---- the end

    def close(self) -> None:
        """Stops listening, and closes the connections that nobody has taken. A second call does nothing."""
        self._arrivals.close()

    async def aclose(self) -> None:
        """As `close`, and waits until the system has taken what was written to these connections."""
        for client in self._arrivals.close():
            await client.aclose()
        if self._library.owes_checkpoint():
            await self._library.checkpoint()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for client in self._arrivals.close():
            await client._leave(error)

    @property
    def local_address(self) -> str | None:
        """The address that it listens on, see `ServerSocket.local_address`."""
        return self.server.local_address

    @property
    def local_port(self) -> int:
        """The port that it listens on, see `ServerSocket.local_port`."""
        return self.server.local_port

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.server!r}>"


def listen(
    port: SupportsIndex = 0,
    host: Host = "0.0.0.0",
    *,
    backlog: SupportsIndex = 0,
    dual_stack: bool = False,
    reuse_port: bool = False,
    defer_accept: SupportsIndex = 0,
    max_connections: SupportsIndex | None = None,
) -> AsyncServer:
    """Listens on a port, at once: ``async with listen(8080, "127.0.0.1") as server``.

    Args:
        port: See `ServerSocket.bind`, as for `host`, `dual_stack` and `reuse_port`.
        host: The local IP address.
        backlog: See `ServerSocket.listen`, as for `defer_accept`.
        dual_stack: An IPv6 address takes IPv4 connections too.
        reuse_port: Share the port with other sockets.
        defer_accept: Seconds that a client which is silent may be kept back.
        max_connections: See `ServerSocket.max_connections`.

    Returns:
        The server, which has to be closed, as ``async with`` does.

    Raises:
        RangeError: `port` is outside 0 to 65535 (#2003), or another number is negative (#2006).
        ArgumentError: `host` is not a well-formed IP address (#2004).
        IOError: The system refuses, for instance because the port is taken (#2002, with `errno`).
        TypeError: An argument has the wrong type.
        RuntimeError: The call does not come from a coroutine of asyncio or trio.

    Example:
        >>> import asyncio, serversocket
        >>> async def main():
        ...     async with serversocket.aio.listen(0, "127.0.0.1") as server:
        ...         return server.local_address, server.local_port > 0
        >>> asyncio.run(main())
        ('127.0.0.1', True)
    """
    server = ServerSocket()
    try:
        server.bind(port, host, dual_stack=dual_stack, reuse_port=reuse_port)
        if max_connections is not None:
            server.max_connections = max_connections
        server.listen(backlog, defer_accept=defer_accept)
        return AsyncServer(server)
    except BaseException:
        if server.bound:
            server.close()
        raise

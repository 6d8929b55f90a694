"""`AsyncServer`: a server, for coroutines."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from functools import partial
from inspect import isawaitable
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

from .. import errors
from ..checks import as_port
from ..loop.reactor import report_error
from ..naming import with_as3_names
from ..net.addresses import Host
from .backends import Library, Waiter, current_library
from .sockets import AsyncSocket, close_forgotten

if TYPE_CHECKING:
    from .. import Event, ServerSocket, ServerSocketConnectEvent
    from ..net.server import TLS
else:
    from ..net.server import ServerSocket

#: How many accepted connections wait for the program; further ones stay in the system's backlog.
ACCEPT_AHEAD = 128

Handler = Callable[[AsyncSocket], Awaitable[object]]


class _Arrivals:
    """The listeners of a server, and the tasks that wait for its clients.

    The listeners have no reference to `AsyncServer`, so an object that the program has dropped can be collected.
    """

    __slots__ = ("_library", "_listening", "acceptors", "begun", "clients", "end", "hand_over", "over", "server")

    def __init__(self, server: Any, library: Library) -> None:
        self.server = server
        self._library = library
        self._listening = False  # to `connect` events, while there is room for more clients
        self.clients: deque[AsyncSocket] = deque()
        self.acceptors: deque[Waiter] = deque()
        self.hand_over: Callable[[AsyncSocket], object] | None = None  # begins a task that serves a client
        self.begun: set[AsyncSocket] = set()  # handed over to tasks that have not made their first step
        self.end: Waiter | None = None  # the waiter of `serve`
        self.over = False  # no more clients will arrive
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
        """Wakes a task in `accept` to take a waiting client; if all of them were cancelled, `serve` takes it."""
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
        """Closes the server and the clients that were not taken yet; returns these clients."""
        if not self.over and self.server.bound:
            self.server.close()  # calls closed_here
        closed = list(self.clients)
        self.clients.clear()
        for client in closed:
            client.close()
        return closed

    def closed_here(self) -> None:
        """Wakes waiting tasks: the server was closed on this side, perhaps directly, which causes no event."""
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
    """A listening `ServerSocket` with coroutines to accept and serve clients. `listen` makes them.

    Use it with ``async with``: leaving the block stops listening, and closes the connections that were not taken yet.
    Taken connections stay open. If the program drops it unclosed, it stops listening when it is collected, with a
    `ResourceWarning`.

    Args:
        server: The listening server socket. From then on its clients go to this object.

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
    """The underlying server socket, with its limits and counters."""

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
        """Waits for the next client. Several tasks may wait at once.

        Returns:
            The connection, which has to be closed.

        Raises:
            IOError: The server has stopped listening (#2002).
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

        When the handler returns, its client is closed. If it raises, the exception becomes an ``uncaughtError`` event
        of the reactor, or else a log record; other handlers continue. Errors that only report how this connection ended
        are not logged: that it broke, ended inside a message, or was closed on this side, alone or in an exception
        group. After the server is closed, this waits for the running handlers; if this task is cancelled, so are they.

        Args:
            handler: The coroutine function; it gets an `AsyncSocket`.

        Raises:
            TypeError: `handler` is not callable.
            RuntimeError: Another task is already serving this server.

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
            raise RuntimeError("serve() is already running for this server")
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
            outcome = handler(client)
            if not isawaitable(outcome):
                raise errors.wrong_type("what the handler returns", outcome, "awaitable: make it an `async def`")
            await outcome
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
        """Stops listening, and closes the connections that were not taken yet. A second call does nothing."""
        self._arrivals.close()

    async def aclose(self) -> None:
        """Like `close`, and waits until the system has taken all output of these connections."""
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
    tls: TLS | None = None,
    handshake_timeout: float | None = 30.0,
) -> AsyncServer:
    """Listens on a port, at once: ``async with listen(8080, "127.0.0.1") as server``.

    Args:
        port: The local port; 0 chooses a free one. See `ServerSocket.bind`, also for `dual_stack` and `reuse_port`.
        host: The local IP address.
        backlog: How many clients may wait to be accepted. See `ServerSocket.listen`, also for `defer_accept`.
        dual_stack: True to accept IPv4 connections on an IPv6 address too.
        reuse_port: True to share the port with other sockets.
        defer_accept: Seconds for which the system may hold back a silent client.
        max_connections: See `ServerSocket.max_connections`.
        tls: See `ServerSocket.tls`, as for `handshake_timeout`.
        handshake_timeout: Seconds that a client may take for the handshake of TLS.

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
    as_port("port", port)
    server: Any = ServerSocket()
    try:
        server.bind(port, host, dual_stack=dual_stack, reuse_port=reuse_port)
        if max_connections is not None:
            server.max_connections = max_connections
        server.handshake_timeout = handshake_timeout
        server.tls = tls
        server.listen(backlog, defer_accept=defer_accept)
        return AsyncServer(server)
    except BaseException:
        if server.bound:
            server.close()
        raise

"""Connections and servers as anyio's own streams and listeners, for code written against `anyio.abc`.

import anyio
from serversocket.aio.anyio import create_tcp_listener

async def echo(stream):
    async with stream:
        async for chunk in stream:
            await stream.send(chunk)

async def main():
    listener = await create_tcp_listener(8080, "127.0.0.1")
    await listener.serve(echo)

anyio.run(main)
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar, SupportsIndex, Unpack

import anyio
import anyio.abc
from anyio.abc import SocketAttribute

from .. import aio
from ..checks import as_limit
from ..net.addresses import Host
from .adapters import ListenerAdapter, StreamAdapter
from .options import ConnectOptions, ListenOptions

if TYPE_CHECKING:
    from .. import ServerSocket, Socket
    from . import AsyncServer, AsyncSocket

__all__ = ["SocketListener", "SocketStream", "connect_tcp", "create_tcp_listener"]


class SocketStream(StreamAdapter, anyio.abc.ByteStream):
    """A connection as `anyio.abc.ByteStream`. `socket` is the underlying `AsyncSocket`.

    It has all of `anyio.abc.SocketAttribute` except ``raw_socket``, because a descriptor has only one owner.

    Args:
        socket: A connected `Socket` without listeners of its own, or an `AsyncSocket`.

    Raises:
        IOError: The socket is not connected (#2002).
        RuntimeError: The call does not come from a coroutine of asyncio or trio.

    Example:
        >>> import anyio
        >>> from serversocket.aio.anyio import connect_tcp, create_tcp_listener
        >>> async def main():
        ...     async with await create_tcp_listener(0, "127.0.0.1") as listener:
        ...         client = await connect_tcp("127.0.0.1", listener.server.local_port)
        ...         async with client, await listener.accept() as accepted:
        ...             await client.send(b"hello")
        ...             print(await accepted.receive())
        >>> anyio.run(main)
        b'hello'
    """

    _library: ClassVar[ModuleType] = anyio
    _busy: ClassVar[str] = "{}"  # anyio makes a sentence of it

    def __init__(self, socket: AsyncSocket | Socket) -> None:
        super().__init__(socket)
        self.socket._library = self.socket._library.with_checkpoints()

    async def send(self, item: bytes) -> None:
        """Sends bytes, and waits while more output is pending than `Socket.high_water_mark`.

        Args:
            item: The bytes.

        Raises:
            anyio.BrokenResourceError: The connection broke.
            anyio.ClosedResourceError: This side was closed, or its output ended.
            anyio.BusyResourceError: Another task is sending.
        """
        await self._send(item)

    async def receive(self, max_bytes: int = 65536) -> bytes:
        """Waits for input, and returns it.

        Args:
            max_bytes: The most bytes to return.

        Returns:
            At least one byte.

        Raises:
            anyio.EndOfStream: The peer has ended its stream.
            anyio.BrokenResourceError: The connection broke.
            anyio.ClosedResourceError: This side was closed.
            anyio.BusyResourceError: Another task is receiving.
            ValueError: `max_bytes` is not positive.
            TypeError: It is not an integer.
        """
        data = await self._receive(as_limit("max_bytes", max_bytes))
        if not data:
            raise anyio.EndOfStream
        return data

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The addresses and ports of both ends."""
        below = self.socket
        return _attributes(below.local_address, below.local_port) | {
            SocketAttribute.remote_address: lambda: (below.remote_address, below.remote_port),
            SocketAttribute.remote_port: lambda: below.remote_port,
        }


class SocketListener(ListenerAdapter, anyio.abc.Listener[SocketStream]):
    """A server as `anyio.abc.Listener`. `server` is the underlying `AsyncServer`.

    Args:
        server: A listening `ServerSocket`, or an `AsyncServer`.

    Raises:
        IOError: The server does not listen (#2002).
        RuntimeError: The call does not come from a coroutine of asyncio or trio.

    Example:
        >>> import anyio
        >>> from serversocket.aio.anyio import create_tcp_listener
        >>> async def main():
        ...     async with await create_tcp_listener(0, "127.0.0.1") as listener:
        ...         return listener.extra(anyio.abc.SocketAttribute.local_port) > 0
        >>> anyio.run(main)
        True
    """

    _library: ClassVar[ModuleType] = anyio

    def __init__(self, server: AsyncServer | ServerSocket) -> None:
        super().__init__(server)
        self.server._library = self.server._library.with_checkpoints()

    async def accept(self) -> SocketStream:
        """Waits for the next client.

        Returns:
            The connection, which has to be closed.

        Raises:
            anyio.ClosedResourceError: The server was closed.
        """
        return SocketStream(await self._accept())

    async def serve(
        self, handler: Callable[[SocketStream], Any], task_group: anyio.abc.TaskGroup | None = None
    ) -> None:
        """Calls a coroutine function for each client, each in its own task, until cancelled or the server is closed.

        Args:
            handler: The coroutine function; it gets a `SocketStream`, which it has to close.
            task_group: The task group for the tasks; ``None`` makes one.

        Raises:
            anyio.ClosedResourceError: The server was closed.
        """
        async with AsyncExitStack() as stack:
            if task_group is None:
                task_group = await stack.enter_async_context(anyio.create_task_group())
            while True:
                task_group.start_soon(handler, await self.accept())

    @property
    def extra_attributes(self) -> Mapping[Any, Callable[[], Any]]:
        """The address and port that it listens on."""
        return _attributes(self.server.local_address, self.server.local_port)


def _attributes(host: str | None, port: int) -> dict[Any, Callable[[], Any]]:
    family = socket.AddressFamily.AF_INET
    if host is not None and ipaddress.ip_address(host).version == 6:
        family = socket.AddressFamily.AF_INET6
    return {
        SocketAttribute.family: lambda: family,
        SocketAttribute.local_address: lambda: (host, port),
        SocketAttribute.local_port: lambda: port,
    }


async def connect_tcp(host: Host, port: SupportsIndex, **options: Unpack[ConnectOptions]) -> SocketStream:
    """Connects to a server, and returns the stream. Arguments and errors are those of `serversocket.aio.connect`."""
    return SocketStream(await aio.connect(host, port, **options))


async def create_tcp_listener(
    port: SupportsIndex = 0, host: Host = "0.0.0.0", **options: Unpack[ListenOptions]
) -> SocketListener:
    """Listens on a port, and returns the listener. Arguments and errors are those of `serversocket.aio.listen`."""
    listener = SocketListener(aio.listen(port, host, **options))
    await anyio.lowlevel.checkpoint()
    return listener

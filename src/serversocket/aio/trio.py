"""Connections and servers as trio's own streams and listeners, for code written against `trio.abc`.

import trio
from serversocket.aio.trio import open_tcp_listener

async def echo(stream):
    async for chunk in stream:
        await stream.send_all(chunk)

async def main():
    await trio.serve_listeners(echo, [await open_tcp_listener(8080, "127.0.0.1")])

trio.run(main)
"""

from __future__ import annotations

from types import ModuleType
from typing import ClassVar, SupportsIndex, Unpack

import trio
import trio.abc

from .. import aio
from ..checks import as_limit
from ..net.addresses import Host
from .adapters import ListenerAdapter, StreamAdapter
from .options import ConnectOptions, ListenOptions

__all__ = ["SocketListener", "SocketStream", "open_tcp_listener", "open_tcp_stream"]


class SocketStream(StreamAdapter, trio.abc.HalfCloseableStream):
    """A connection as `trio.abc.HalfCloseableStream`. `socket` is the underlying `AsyncSocket`.

    Args:
        socket: A connected `Socket` without listeners of its own, or an `AsyncSocket`.

    Raises:
        IOError: The socket is not connected (#2002).
        RuntimeError: The call does not come from a coroutine of asyncio or trio.

    Example:
        >>> import trio
        >>> from serversocket.aio.trio import open_tcp_listener, open_tcp_stream
        >>> async def main():
        ...     async with await open_tcp_listener(0, "127.0.0.1") as listener:
        ...         client = await open_tcp_stream("127.0.0.1", listener.server.local_port)
        ...         async with client, await listener.accept() as accepted:
        ...             await client.send_all(b"hello")
        ...             print(await accepted.receive_some())
        >>> trio.run(main)
        b'hello'
    """

    _library: ClassVar[ModuleType] = trio

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Sends bytes, and waits while more output is pending than `Socket.high_water_mark`.

        Args:
            data: The bytes.

        Raises:
            trio.BrokenResourceError: The connection broke.
            trio.ClosedResourceError: This side was closed, or its output ended.
            trio.BusyResourceError: Another task is sending.
        """
        await self._send(data)

    async def wait_send_all_might_not_block(self) -> None:
        """Waits while more output is pending than `Socket.high_water_mark`. Raises the same errors as `send_all`."""
        await self._send(None)

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Waits for input, and returns it; ``b""`` after the peer has ended its stream.

        Args:
            max_bytes: The most bytes to return; ``None``: all that have arrived.

        Raises:
            trio.BrokenResourceError: The connection broke.
            trio.ClosedResourceError: This side was closed.
            trio.BusyResourceError: Another task is receiving.
            ValueError: `max_bytes` is not positive.
            TypeError: It is not an integer.
        """
        return await self._receive(-1 if max_bytes is None else as_limit("max_bytes", max_bytes))


class SocketListener(ListenerAdapter, trio.abc.Listener[SocketStream]):
    """A server as `trio.abc.Listener`. `server` is the underlying `AsyncServer`.

    Args:
        server: A listening `ServerSocket`, or an `AsyncServer`.

    Raises:
        IOError: The server does not listen (#2002).
        RuntimeError: The call does not come from a coroutine of asyncio or trio.

    Example:
        >>> import trio
        >>> from serversocket.aio.trio import open_tcp_listener
        >>> async def main():
        ...     async with await open_tcp_listener(0, "127.0.0.1") as listener:
        ...         return listener.server.local_port > 0
        >>> trio.run(main)
        True
    """

    _library: ClassVar[ModuleType] = trio

    async def accept(self) -> SocketStream:
        """Waits for the next client.

        Returns:
            The connection, which has to be closed.

        Raises:
            trio.ClosedResourceError: The server was closed.
        """
        return SocketStream(await self._accept())


async def open_tcp_stream(host: Host, port: SupportsIndex, **options: Unpack[ConnectOptions]) -> SocketStream:
    """Connects to a server, and returns the stream. Arguments and errors are those of `serversocket.aio.connect`."""
    return SocketStream(await aio.connect(host, port, **options))


async def open_tcp_listener(
    port: SupportsIndex = 0, host: Host = "0.0.0.0", **options: Unpack[ListenOptions]
) -> SocketListener:
    """Listens on a port, and returns the listener. Arguments and errors are those of `serversocket.aio.listen`."""
    listener = SocketListener(aio.listen(port, host, **options))
    await trio.lowlevel.checkpoint()
    return listener

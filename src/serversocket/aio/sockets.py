"""`AsyncSocket`: a connection, for coroutines."""

from __future__ import annotations

import operator
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, SupportsBytes, SupportsIndex

from .. import errors
from ..addresses import Host
from ..libraries import Library, Waiter, current_library
from ..once import as_error

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from .. import Event, IOErrorEvent, OutputProgressEvent, ProgressEvent, Socket
else:
    from ..stream import Socket

#: As much input waits unread before the peer has to.
READ_AHEAD = 65536


class AsyncSocket:
    """A connected `Socket` whose input and output coroutines wait for.

    `connect` and `AsyncServer` make them; a connected `Socket` without listeners of its own can be given, too.

    One task at a time receives; any number may send. Input that nobody has asked for yet is kept up to 64 KiB, and
    beyond that the peer has to wait. A task that is cancelled while it receives has consumed nothing.

    Args:
        socket: The connection. From here on its input belongs to this object.

    Raises:
        IOError: The socket is not connected (#2002).
        RuntimeError: The call does not come from a coroutine of asyncio or trio.

    Example:
        >>> import asyncio, serversocket.aio
        >>> async def main():
        ...     async with serversocket.aio.listen(0, "127.0.0.1") as server:
        ...         async with (
        ...             await serversocket.aio.connect("127.0.0.1", server.local_port) as client,
        ...             await server.accept() as accepted,
        ...         ):
        ...             await client.send(b"hello")
        ...             return await accepted.receive_exactly(5)
        >>> asyncio.run(main())
        b'hello'
    """

    __slots__ = ("__weakref__", "_broken", "_held", "_library", "_over", "_reader", "_senders", "_wanted", "socket")

    socket: Socket
    """The connection itself: its addresses, options and counters."""

    def __init__(self, socket: Socket, *, _library: Library | None = None) -> None:
        self._library: Library = _library or current_library(type(self).__name__)
        if not socket.connected:
            raise errors.not_open(type(self).__name__)
        self.socket = socket
        socket.allow_half_open = True
        self._over = socket.input_ended  # no more input will come
        self._broken: errors.IOError | None = None
        self._held = False  # paused, because there is enough
        self._reader: Waiter | None = None
        self._wanted = 1  # how many bytes the reader waits for
        self._senders: list[Waiter] = []
        add = socket.add_event_listener
        add("socketData", self._arrived)
        add("end", self._ended)
        add("ioError", self._failed)

    # ---- input

    async def receive(self, size: int = -1) -> bytes:
        """Waits until something has arrived, and gives it.

        Args:
            size: At most so many bytes; negative: all that is there.

        Returns:
            At least one byte; ``b""`` once the peer has ended its stream, and for a `size` of 0.

        Raises:
            IOError: The connection broke; or it was closed on this side (#2002).
            RuntimeError: Another task receives from this socket.
            TypeError: `size` is not an integer.
        """
        if self._reader is not None:
            self._refuse_second_reader("receive")
        library = self._library
        if library.checkpoint is not None:
            await library.checkpoint()
        read = self.socket.read
        while not (data := read(size)):
            if self._over or not operator.index(size):
                self._raise_if_broken()
                break
            # As in _input, without a coroutine more: most time is spent here.
            waiter = self._reader = library.create_waiter()
            try:
                await waiter
            finally:
                self._reader = None
        if self._held:
            self._let_in()
        return data

    async def receive_exactly(self, size: SupportsIndex) -> bytes:
        """Waits until so many bytes have arrived, and gives them.

        Args:
            size: How many bytes; less than `Socket.buffer_limit`.

        Raises:
            EOFError: The peer ended before (#2030). What has arrived can be had with `receive`.
            IOError: The connection broke; or it was closed on this side (#2002).
            RuntimeError: Another task receives from this socket.
            RangeError: `size` is negative, or more than the socket may keep (#2006).
            TypeError: `size` is not an integer.
        """
        if self._reader is not None:
            self._refuse_second_reader("receive_exactly")
        size = operator.index(size)
        if not 0 <= size <= self.socket.buffer_limit:
            raise errors.out_of_bounds("receive_exactly", f"size must be 0 to {self.socket.buffer_limit}, not {size}")
        if self._library.checkpoint is not None:
            await self._library.checkpoint()
        while self.socket.bytes_available < size:
            if self._over:
                self._raise_if_broken()
                raise errors.end_of_file("receive_exactly", size, self.socket.bytes_available)
            await self._input(size)
        data = self.socket.read(size)
        if self._held:
            self._let_in()
        return data

    async def receive_until(self, separator: bytes = b"\n", limit: SupportsIndex = READ_AHEAD) -> bytes:
        """Waits until a separator has arrived, and gives all up to it and with it.

        Args:
            separator: What ends a message.
            limit: How many bytes a message may have, the separator included.

        Raises:
            EOFError: The peer ended before (#2030). What has arrived can be had with `receive`.
            RangeError: So many bytes have arrived without a separator (#2006); they can be had with `receive`.
            ArgumentError: `separator` is empty (#2004).
            IOError: The connection broke; or it was closed on this side (#2002).
            RuntimeError: Another task receives from this socket.
            TypeError: An argument has the wrong type.
        """
        if self._reader is not None:
            self._refuse_second_reader("receive_until")
        if not isinstance(separator, bytes):
            raise errors.wrong_type("separator", separator, "bytes")
        if not separator:
            raise errors.bad_argument("receive_until", "separator is empty")
        limit = operator.index(limit)
        if self._library.checkpoint is not None:
            await self._library.checkpoint()
        searched = 0
        while True:
            available = self.socket.bytes_available
            if available > searched:
                with self.socket.view(limit) as view, view[searched:] as unsearched:
                    found = bytes(unsearched).find(separator)
                if found >= 0:
                    break
                searched = max(min(available, limit) - len(separator) + 1, 0)
            if available >= limit:
                raise errors.out_of_bounds("receive_until", f"no {separator!r} in the first {limit} bytes")
            if self._over:
                self._raise_if_broken()
                raise errors.end_of_file("receive_until", available + 1, available)
            await self._input(available + 1)
        data = self.socket.read(searched + found + len(separator))
        if self._held:
            self._let_in()
        return data

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self.receive()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    async def _input(self, wanted: int) -> None:
        """Waits for input, until so many bytes are there or no more can come."""
        self._wanted = wanted
        if self._held:
            self._let_in()
        waiter = self._reader = self._library.create_waiter()
        try:
            await waiter
        finally:
            self._reader = None
            self._wanted = 1

    def _arrived(self, _event: ProgressEvent) -> None:
        waiter = self._reader
        if waiter is not None and (self._wanted == 1 or self.socket.bytes_available >= self._wanted):
            if not waiter.done():
                waiter.set_result(None)
        elif self.socket.bytes_available >= max(self._wanted, READ_AHEAD):
            self._held = True
            self.socket.pause()

    def _let_in(self) -> None:
        """Lets the peer go on, if there is room."""
        if max(READ_AHEAD, self._wanted) > self.socket.bytes_available:
            self._held = False
            if self.socket.connected:
                self.socket.resume()

    def _wake_reader(self) -> None:
        waiter = self._reader
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _refuse_second_reader(self, call: str) -> NoReturn:
        raise RuntimeError(f"{call}(): another task is receiving from this socket already")

    # ---- output

    async def send(self, data: Buffer | SupportsBytes) -> None:
        """Sends bytes, and waits while more are pending than `Socket.high_water_mark`.

        The bytes are the connection's at once, all of them and in one piece among those of other tasks: they go out
        even if the task is cancelled while it waits.

        Args:
            data: Any bytes-like object.

        Raises:
            IOError: The connection broke, or it was closed (#2002).
            TypeError: `data` is not bytes-like.
        """
        if self._broken is not None:
            raise self._broken
        socket: Any = self.socket
        socket._write_through(data)
        if self._library.checkpoint is not None:
            await self._library.checkpoint()
        if socket.bytes_pending and socket.congested:
            await self._drained()

    async def drain(self) -> None:
        """Waits while more output is pending than `Socket.high_water_mark`.

        Raises:
            IOError: The connection broke.
        """
        self._raise_if_broken()
        if self._library.checkpoint is not None:
            await self._library.checkpoint()
        if self.socket.congested:
            await self._drained()

    async def _drained(self) -> None:
        if not self._senders:
            self.socket.add_event_listener("outputProgress", self._progressed)
        waiter = self._library.create_waiter()
        self._senders.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._senders:  # it was cancelled
                self._senders.remove(waiter)
        self._raise_if_broken()

    def _progressed(self, _event: OutputProgressEvent) -> None:
        if not self.socket.congested:
            self._wake_senders()

    def _wake_senders(self) -> None:
        senders, self._senders = self._senders, []
        if senders:
            self.socket.remove_event_listener("outputProgress", self._progressed)
        for waiter in senders:
            if not waiter.done():
                waiter.set_result(None)

    # ---- the end

    async def send_eof(self) -> None:
        """Ends the output: the peer gets what is pending, and then its end of the stream. Receiving goes on.

        Called again, it does nothing.

        Raises:
            IOError: The connection broke, or it was closed (#2002).
        """
        self._raise_if_broken()
        if not self.socket.output_ended:
            self.socket.write_eof()
        if self._library.checkpoint is not None:
            await self._library.checkpoint()

    def _ended(self, _event: Event) -> None:
        self._over = True
        self._wake_reader()

    def _failed(self, event: IOErrorEvent) -> None:
        self._over = True
        self._broken = as_error(event)
        self._wake_reader()
        self._wake_senders()

    def _raise_if_broken(self) -> None:
        if self._broken is not None:
            raise self._broken

    def close(self) -> None:
        """Closes: what is pending goes out in the background, unread input is dropped. A second call does nothing.

        Tasks that wait for input or output are told by an `IOError`.
        """
        self._close(Socket.close)

    def abort(self) -> None:
        """As `close`, but what is pending is dropped and the connection reset. A second call does nothing."""
        self._close(Socket.abort)

    def _close(self, how: Callable[[Socket], None]) -> None:
        if self.socket.connected:
            how(self.socket)
        self._over = True
        if self._reader is not None or self._senders:
            self._broken = self._broken or errors.invalid_socket(
                "receive or send", "another task has closed the socket"
            )
            self._wake_reader()
            self._wake_senders()
        remove = self.socket.remove_event_listener
        remove("socketData", self._arrived)
        remove("end", self._ended)
        remove("ioError", self._failed)

    async def aclose(self) -> None:
        """As `close`, for code that awaits it."""
        self.close()
        if self._library.checkpoint is not None:
            await self._library.checkpoint()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # ---- who is at the other end

    @property
    def remote_address(self) -> str | None:
        """The peer's IP address, see `Socket.remote_address`."""
        return self.socket.remote_address

    @property
    def remote_port(self) -> int:
        """The peer's port, see `Socket.remote_port`."""
        return self.socket.remote_port

    @property
    def local_address(self) -> str | None:
        """The IP address of this end, see `Socket.local_address`."""
        return self.socket.local_address

    @property
    def local_port(self) -> int:
        """The port of this end, see `Socket.local_port`."""
        return self.socket.local_port

    @property
    def connected(self) -> bool:
        """Whether the connection is open."""
        return self.socket.connected

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.socket!r}>"


async def connect(host: Host, port: SupportsIndex) -> AsyncSocket:
    """Connects to a server.

    How long that may take, `asyncio.timeout` and its like say; 20 seconds by itself (`Socket.timeout`).

    Args:
        host: A host name, an IP address as a string or an object of the `ipaddress` module.
        port: 0 to 65535.

    Returns:
        The connection. It has to be closed: ``async with await connect(host, port) as socket``.

    Raises:
        IOError: The connection was refused, or the name has no address (#2031).
        SecurityError: `port` is outside 0 to 65535 (#2003).
        ArgumentError: `host` cannot be a host name (#2004).
        TypeError: An argument has the wrong type.
        RuntimeError: The call does not come from a coroutine of asyncio or trio.
    """
    socket: Any = Socket()
    try:
        connected = socket.once("connect")
        socket.connect(host, port)
        await connected
        return AsyncSocket(socket)
    except BaseException:
        if socket._opened:
            socket.close()
        raise

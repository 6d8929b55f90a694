"""`AsyncSocket`: a connection, for coroutines."""

from __future__ import annotations

import operator
import warnings
from collections.abc import Callable
from contextlib import suppress
from copy import copy
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn, Self, SupportsIndex
from weakref import WeakKeyDictionary

from .. import errors
from ..naming import with_as3_names
from .backends import Library, Waiter, current_library
from .secure import AsyncSecure

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from .. import ByteArray, Event, OutputProgressEvent, ProgressEvent, Reactor, Socket
else:
    from ..net.socket import Socket

#: How many bytes of input are buffered before backpressure stops the peer.
READ_AHEAD = 65536


class _Flow:
    """The listeners of a connection, and the tasks that wait for its events.

    The listeners have no reference to `AsyncSocket`, so an object that the program has dropped can be collected. A
    waiting task keeps its own `AsyncSocket` alive, and the waiter here keeps the task alive.
    """

    __slots__ = ("broken", "closed", "held", "lingering", "over", "reader", "senders", "socket", "wanted")

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        socket.allow_half_open = True
        self.over = socket.input_ended  # no more input will arrive
        self.broken: errors.IOError | None = None
        self.closed = False  # on this side
        self.lingering: Any = None  # sends the rest of the output after the close
        self.held = False  # paused, because enough input is buffered
        self.reader: Waiter | None = None
        self.wanted = 1  # how many bytes the reader waits for
        self.senders: list[Waiter] = []
        with suppress(OSError):  # it is already broken, as the first receive will report
            socket.tcp_no_delay = True
        for type, listener in self._listeners().items():
            socket.add_event_listener(type, listener)
        socket._follow(self)
        if socket.paused:
            self.let_in()

    def _listeners(self) -> dict[str, Callable[[Any], None]]:
        return {"socketData": self._arrived, "end": self._ended, "ioError": self._failed}

    # ---- input

    def _arrived(self, _event: ProgressEvent) -> None:
        waiter, socket = self.reader, self.socket
        available, limit = socket.bytes_available, socket._buffer_limit
        wanted = waiter is not None and not waiter.done() and (available >= self.wanted or available >= limit)
        if available >= (limit if wanted else self._enough()):
            self.held = True
            socket.pause()
        if waiter is not None and wanted:
            waiter.set_result(None)  # the task may continue at once

    def _enough(self) -> int:
        limit: int = self.socket._buffer_limit
        return min(max(self.wanted, READ_AHEAD), limit)

    def let_in(self) -> None:
        """Resumes reading, if there is room for more input."""
        if self.socket.bytes_available < self._enough():
            self.held = False
            if self.socket.connected:
                self.socket.resume()

    def refuse_reader(self, call: str) -> NoReturn:
        if self.closed:
            raise self.end()
        raise RuntimeError(f"{call}(): another task is receiving from this socket already")

    def _wake_reader(self) -> None:
        waiter = self.reader
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # ---- output

    def add_sender(self, waiter: Waiter) -> None:
        if not self.senders:
            self.socket.add_event_listener("outputProgress", self._progressed)
        self.senders.append(waiter)

    def _progressed(self, _event: OutputProgressEvent) -> None:
        if not self.socket.congested:
            self._wake_senders()

    def _wake_senders(self) -> None:
        senders, self.senders = self.senders, []
        self.socket.remove_event_listener("outputProgress", self._progressed)
        for waiter in senders:
            if not waiter.done():
                waiter.set_result(None)

    # ---- the end

    def _ended(self, _event: Event) -> None:
        self.over = True
        self._wake_reader()

    def _failed(self, event: Any) -> None:
        self.over = True
        self.broken = event.error
        self._wake_reader()
        if self.senders:
            self._wake_senders()

    def raise_if_broken(self) -> None:
        if self.broken is not None or self.closed:
            raise self.end()

    def end(self) -> errors.IOError:
        """Returns the error of a connection that has ended; a new one each time: a traceback grows with each raise."""
        if self.broken is not None:
            return self.telling(copy(self.broken))
        return self.telling(errors.invalid_socket("receive or send", "the connection was closed on this side"))

    def telling(self, error: errors.IOError) -> errors.IOError:
        """Marks an error as one that reports how this connection ended, and returns it."""
        _told[error] = self
        return error

    def besides_end(self, error: Exception) -> Exception | None:
        """Returns an error without the parts that report how this connection ended, or ``None`` if nothing is left."""
        if isinstance(error, ExceptionGroup):
            return error.split(lambda each: self._tells_end(each))[1]  # before 3.13 it refuses methods
        return None if self._tells_end(error) else error

    def _tells_end(self, error: BaseException) -> bool:
        return isinstance(error, errors.IOError) and _told.get(error) is self

    def close(self) -> None:
        if self.socket.connected:
            self.lingering = self.socket._close()
        if not self.closed:  # otherwise it was already notified
            self.closed_here()

    def abort(self) -> None:
        if self.socket.connected:
            self.socket.abort()
        elif self.lingering is not None:
            self.lingering.abort()
        if not self.closed:
            self.closed_here()

    def closed_here(self) -> None:
        """Wakes waiting tasks: the socket was closed on this side, perhaps directly, which causes no event."""
        self.over = self.closed = True
        waiters, self.senders = self.senders, []
        if self.reader is not None:
            waiters.append(self.reader)
        for waiter in waiters:
            if not waiter.done():
                waiter.finish_soon(self.end())
        remove = self.socket.remove_event_listener
        for type, listener in self._listeners().items():
            remove(type, listener)
        remove("outputProgress", self._progressed)
        self.socket._unfollow(self)


# Errors that report how a connection ended, each with its connection.
_told: WeakKeyDictionary[BaseException, _Flow] = WeakKeyDictionary()


@with_as3_names
class AsyncSocket(AsyncSecure):
    """A connected `Socket` with coroutines to receive and send.

    `connect` and `AsyncServer` make them. A connected `Socket` without listeners of its own can be wrapped too.

    One task at a time may receive; any number may send. Up to 64 KiB of input is buffered ahead of `receive`; beyond
    that, backpressure stops the peer. A task that is cancelled while it receives has consumed nothing.

    `Socket.tcp_no_delay` is on, as in asyncio and trio: each `send` leaves at once, even while earlier data is not yet
    acknowledged. ``socket.socket.tcp_no_delay = False`` turns it off.

    It has to be closed. If the program drops it unclosed, it is closed when it is collected, with a `ResourceWarning`.

    Args:
        socket: The connection. From then on its input belongs to this object.

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

    __slots__ = ("__weakref__", "_flow", "_library", "socket")

    socket: Socket
    """The underlying connection, with its addresses, options and counters."""

    def __init__(self, socket: Socket, *, _library: Library | None = None) -> None:
        self._library: Library = _library or current_library(type(self).__name__)
        if not socket.connected:
            raise errors.not_open(type(self).__name__)
        self.socket = socket
        self._flow = _Flow(socket)

    def __del__(self) -> None:
        if hasattr(self, "_flow") and not self._flow.closed and self.socket.connected:
            close_forgotten(self, self.socket.reactor, self._flow.close)

    # ---- input

    async def receive(self, size: int = -1) -> bytes:
        """Waits for input, and returns it.

        Args:
            size: The most bytes to return; negative: all that have arrived.

        Returns:
            At least one byte; ``b""`` after the peer has ended its stream, or if `size` is 0.

        Raises:
            IOError: The connection broke; or it was closed on this side (#2002).
            RuntimeError: Another task is receiving from this socket.
            TypeError: `size` is not an integer.
        """
        flow, library = self._flow, self._library
        if flow.reader is not None or flow.closed:
            flow.refuse_reader("receive")
        library.unwaited += 1  # like owes_checkpoint, but without a call
        if library.unwaited > library.allowance and (self.socket.bytes_available or flow.over or not size):
            await self._let_others_run("receive")
        read = self.socket.read
        while not (data := read(size)):
            if flow.over or not operator.index(size):
                flow.raise_if_broken()
                break
            # Like _input, but without another coroutine: this is the hot path.
            waiter = flow.reader = library.create_waiter()
            library.unwaited = 0
            try:
                await waiter
            finally:
                flow.reader = None
            if flow.closed:
                raise flow.end()
        if flow.held:
            flow.let_in()
        return data

    async def receive_exactly(self, size: SupportsIndex) -> bytes:
        """Waits until exactly `size` bytes have arrived, and returns them.

        Args:
            size: How many bytes; at most `Socket.buffer_limit`.

        Raises:
            EOFError: The peer ended its stream before that (#2030). `receive` returns the bytes that have arrived.
            IOError: The connection broke; or it was closed on this side (#2002).
            RuntimeError: Another task is receiving from this socket.
            RangeError: `size` is negative, or more than `Socket.buffer_limit` (#2006).
            TypeError: `size` is not an integer.
        """
        flow = self._flow
        if flow.reader is not None or flow.closed:
            flow.refuse_reader("receive_exactly")
        size = operator.index(size)
        self._require_room(size)
        if self._library.owes_checkpoint():
            await self._let_others_run("receive_exactly")
        while self.socket.bytes_available < size:
            if flow.over:
                flow.raise_if_broken()
                raise flow.telling(errors.end_of_file("receive_exactly", size, self.socket.bytes_available))
            await self._input(size)
            self._require_room(size)
        data = self.socket.read(size)
        if flow.held:
            flow.let_in()
        return data

    def _require_room(self, size: int) -> None:
        if not 0 <= size <= self.socket.buffer_limit:
            raise errors.out_of_bounds("receive_exactly", f"size must be 0 to {self.socket.buffer_limit}, not {size}")

    async def receive_until(self, separator: bytes = b"\n", limit: SupportsIndex = READ_AHEAD) -> bytes:
        """Waits until a separator has arrived, and returns the bytes up to and including it.

        Args:
            separator: The end of a message.
            limit: The most bytes that a message may have, including the separator.

        Raises:
            EOFError: The peer ended its stream before that (#2030). `receive` returns the bytes that have arrived.
            RangeError: `limit` is negative, or so many bytes have arrived without a separator (#2006); `receive`
                returns them.
            ArgumentError: `separator` is empty (#2004).
            IOError: The connection broke; or it was closed on this side (#2002).
            RuntimeError: Another task is receiving from this socket.
            TypeError: An argument has the wrong type.

        Example:
            >>> async def commands(socket):
            ...     while True:
            ...         print(await socket.receive_until(b";", limit=1000))
        """
        flow = self._flow
        if flow.reader is not None or flow.closed:
            flow.refuse_reader("receive_until")
        if not isinstance(separator, bytes):
            raise errors.wrong_type("separator", separator, "bytes")
        if not separator:
            raise errors.bad_argument("receive_until", "separator is empty")
        limit = operator.index(limit)
        if limit < 0:
            raise errors.out_of_bounds("receive_until", f"limit: {limit} is negative")
        if self._library.owes_checkpoint():
            await self._let_others_run("receive_until")
        searched = 0
        while True:
            available = self.socket.bytes_available
            if available > searched:
                with self.socket.view(limit) as view, view[searched:] as unsearched:
                    found = bytes(unsearched).find(separator)
                if found >= 0:
                    break
                searched = max(min(available, limit) - len(separator) + 1, 0)
            if available >= (most := min(limit, self.socket.buffer_limit)):
                raise errors.out_of_bounds("receive_until", f"no {separator!r} in the first {most} bytes")
            if flow.over:
                flow.raise_if_broken()
                raise flow.telling(errors.no_separator("receive_until", separator, available))
            await self._input(available + 1)
        data = self.socket.read(searched + found + len(separator))
        if flow.held:
            flow.let_in()
        return data

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        chunk = await self.receive()
        if not chunk:
            raise StopAsyncIteration
        return chunk

    def _require_reader(self, call: str) -> None:
        """Raises if this task cannot receive now."""
        reactor: Any = self.socket.reactor
        reactor._check_thread()
        flow = self._flow
        if flow.reader is not None or flow.closed:
            flow.refuse_reader(call)

    async def _let_others_run(self, call: str) -> None:
        """Makes a checkpoint before receiving. Then checks again: another task may have begun to, or closed it."""
        await self._library.checkpoint()
        self._require_reader(call)

    async def _input(self, wanted: int) -> None:
        """Waits until so many bytes have arrived, or no more can arrive."""
        flow = self._flow
        flow.wanted = wanted
        if flow.held:
            flow.let_in()
        waiter = flow.reader = self._library.create_waiter()
        self._library.unwaited = 0
        try:
            await waiter
        finally:
            flow.reader = None
            flow.wanted = 1

    # ---- output

    async def send(self, data: Buffer | ByteArray) -> None:
        """Sends bytes, and waits while more output is pending than `Socket.high_water_mark`: backpressure.

        All bytes are queued at once, without bytes of other tasks between them. They are sent even if this task is
        cancelled while it waits.

        Args:
            data: Any bytes-like object.

        Raises:
            IOError: The connection broke, or it was closed (#2002).
            TypeError: `data` is not bytes-like.
        """
        library = self._library
        if not self.send_nowait(data):
            await self._drained()
        elif library.unwaited > library.allowance:
            await library.checkpoint()

    def send_nowait(self, data: Buffer | ByteArray) -> bool:
        """Queues bytes without waiting, even if the peer does not keep up; sends at once what the system takes.

        Args:
            data: Any bytes-like object.

        Returns:
            True if the connection is not congested, with at most `Socket.high_water_mark` bytes pending. False if it
            is congested; the bytes are queued all the same. In that case ``await drain()`` before sending more, because
            pending output takes memory, up to `Socket.buffer_limit`.

        Raises:
            IOError: The connection broke, or it was closed (#2002); or more than `Socket.buffer_limit` would be
                pending, which breaks the connection (with `errno.ENOBUFS`).
            TypeError: `data` is not bytes-like.

        Example:
            >>> async def publish(subscribers, message):
            ...     for socket in subscribers:
            ...         if not socket.send_nowait(message):
            ...             socket.abort()  # too slow
        """
        socket: Any = self.socket
        self._library.unwaited += 1  # like owes_checkpoint, but without a call
        try:
            pending = socket._write_through(data)
        except errors.IOError:
            self._flow.raise_if_broken()
            raise
        return not (pending and socket.congested)

    async def drain(self) -> None:
        """Waits while more output is pending than `Socket.high_water_mark`.

        Raises:
            IOError: The connection broke.

        Example:
            >>> async def stream(socket, pieces):
            ...     for piece in pieces:
            ...         if not socket.send_nowait(piece):
            ...             await socket.drain()
        """
        self._flow.raise_if_broken()
        if self.socket.congested:
            await self._drained()
        elif self._library.owes_checkpoint():
            await self._library.checkpoint()

    async def _drained(self) -> None:
        flow = self._flow
        waiter = self._library.create_waiter()
        flow.add_sender(waiter)
        self._library.unwaited = 0
        try:
            await waiter
        finally:
            if waiter in flow.senders:  # it was cancelled
                flow.senders.remove(waiter)
        flow.raise_if_broken()

    # ---- the end

    async def send_eof(self) -> None:
        """Ends the output: the peer gets the pending bytes and then the end of the stream. Receiving continues.

        A second call does nothing.

        Raises:
            IOError: The connection broke, or it was closed (#2002).
        """
        self._flow.raise_if_broken()
        if not self.socket.output_ended:
            self.socket.write_eof()
        if self._library.owes_checkpoint():
            await self._library.checkpoint()

    async def _finished(self) -> None:
        """Waits until both sides have ended their output and the system has taken all of it. Raises if it broke."""
        flow, socket = self._flow, self.socket
        socket.add_event_listener("close", flow._ended)
        try:
            while socket.connected:
                await self._input(1)
        finally:
            socket.remove_event_listener("close", flow._ended)
        flow.raise_if_broken()

    def close(self) -> None:
        """Closes without waiting: pending output is sent in the background. A second call does nothing.

        Unread input is dropped. Tasks that wait for input or output get an `IOError`. If the loop ends before all
        output was sent, the connection is reset; use `aclose` or ``async with`` to wait for it.
        """
        self._flow.close()

    def abort(self) -> None:
        """Drops pending output, even after a `close`, and resets the connection. A second call does nothing."""
        self._flow.abort()

    async def aclose(self) -> None:
        """Closes, and waits until the system has taken all output. Leaving an ``async with`` block does the same.

        It gives up and resets the connection if the peer acknowledges nothing for 60 seconds, and in any case after an
        hour. If this task is cancelled meanwhile, the connection is reset at once. Unread input is dropped. A second
        call waits too.
        """
        self.close()
        lingering = self._flow.lingering
        if lingering is not None and lingering.bytes_pending:
            waiter = self._library.create_waiter()
            lingering._when_sent(waiter.finish_soon)
            self._library.unwaited = 0
            try:
                await waiter
            except BaseException:
                self.abort()
                raise
        elif self._library.owes_checkpoint():
            await self._library.checkpoint()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._leave(error)

    async def _leave(self, error: BaseException | None) -> None:
        """Closes, after an error or without one. A cancelled task must not wait, so its unsent output is dropped."""
        if error is None or isinstance(error, Exception):
            await self.aclose()
            return
        self.close()
        lingering = self._flow.lingering
        if lingering is not None and lingering.bytes_pending:
            self.abort()

    # ---- addresses

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
        """True if the connection is open."""
        return self.socket.connected

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.socket!r}>"


def close_forgotten(facade: object, reactor: Reactor, close: Callable[[], object]) -> None:
    """Closes an object that the program has dropped without closing it, and warns.

    The reactor does the closing, because objects can be collected at any moment, and in any thread.
    """
    with suppress(RuntimeError):  # the reactor is closed, with all its objects
        reactor.call_soon_threadsafe(close)
    warnings.warn(f"unclosed {facade!r}", ResourceWarning, source=facade, stacklevel=3)

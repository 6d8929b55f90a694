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

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from .. import ByteArray, Event, OutputProgressEvent, ProgressEvent, Reactor, Socket
else:
    from ..net.socket import Socket

#: As much input waits unread before the peer has to.
READ_AHEAD = 65536


class _Flow:
    """What the events of a connection do, and who waits for them.

    The listeners are here and hold nothing of `AsyncSocket`, so that one which the program has forgotten is collected.
    A task that waits holds its own, and the waiter here the task.
    """

    __slots__ = ("broken", "closed", "held", "lingering", "over", "reader", "senders", "socket", "wanted")

    def __init__(self, socket: Any) -> None:
        self.socket = socket
        socket.allow_half_open = True
        self.over = socket.input_ended  # no more input will come
        self.broken: errors.IOError | None = None
        self.closed = False  # on this side
        self.lingering: Any = None  # what still sends after that
        self.held = False  # paused, because there is enough
        self.reader: Waiter | None = None
        self.wanted = 1  # how many bytes the reader waits for
        self.senders: list[Waiter] = []
        with suppress(OSError):  # it is broken already, as the first receive tells
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
        available, limit = socket.bytes_available, socket.buffer_limit
        wanted = waiter is not None and not waiter.done() and (available >= self.wanted or available >= limit)
        if available >= (limit if wanted else self._enough()):
            self.held = True
            socket.pause()
        if waiter is not None and wanted:
            waiter.set_result(None)  # the task may go on at once

    def _enough(self) -> int:
        limit: int = self.socket.buffer_limit
        return min(max(self.wanted, READ_AHEAD), limit)

    def let_in(self) -> None:
        """Lets the peer go on, if there is room."""
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
        """Why nothing can be received or sent any more; made anew each time, for a traceback grows with each raise."""
        if self.broken is not None:
            return self.telling(copy(self.broken))
        return self.telling(errors.invalid_socket("receive or send", "the connection was closed on this side"))

    def telling(self, error: errors.IOError) -> errors.IOError:
        """The error, noted as one that tells how this connection ended."""
        _told[error] = self
        return error

    def besides_end(self, error: Exception) -> Exception | None:
        """An error, or what of a group of them does not tell how this connection ended."""
        if isinstance(error, ExceptionGroup):
            return error.split(lambda each: self._tells_end(each))[1]  # a method is refused before 3.13
        return None if self._tells_end(error) else error

    def _tells_end(self, error: BaseException) -> bool:
        return isinstance(error, errors.IOError) and _told.get(error) is self

    def close(self) -> None:
        if self.socket.connected:
            self.lingering = self.socket._close()
        if not self.closed:  # else it was told
            self.closed_here()

    def abort(self) -> None:
        if self.socket.connected:
            self.socket.abort()
        elif self.lingering is not None:
            self.lingering.abort()
        if not self.closed:
            self.closed_here()

    def closed_here(self) -> None:
        """The socket was closed at this end, perhaps below this object: no event tells who waits."""
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


# Errors that tell how a connection ended, by which it is known whose end it was.
_told: WeakKeyDictionary[BaseException, _Flow] = WeakKeyDictionary()


@with_as3_names
class AsyncSocket:
    """A connected `Socket` whose input and output coroutines wait for.

    `connect` and `AsyncServer` make them; a connected `Socket` without listeners of its own can be given, too.

    One task at a time receives; any number may send. Input that nobody has asked for yet is kept up to 64 KiB, and
    beyond that the peer has to wait. A task that is cancelled while it receives has consumed nothing.

    `Socket.tcp_no_delay` is on, as in asyncio and trio: each `send` leaves at once, also behind one that the peer has
    not acknowledged. ``socket.socket.tcp_no_delay = False`` turns it off.

    It has to be closed. One that is forgotten is closed when it is collected, with a `ResourceWarning`.

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

    __slots__ = ("__weakref__", "_flow", "_library", "socket")

    socket: Socket
    """The connection itself, with its addresses, options and counters."""

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
        flow, library = self._flow, self._library
        if flow.reader is not None or flow.closed:
            flow.refuse_reader("receive")
        library.unwaited += 1  # as in owes_checkpoint, without a call
        if library.unwaited > library.allowance and (self.socket.bytes_available or flow.over or not size):
            await self._let_others_run("receive")
        read = self.socket.read
        while not (data := read(size)):
            if flow.over or not operator.index(size):
                flow.raise_if_broken()
                break
            # As in _input, without a coroutine more: most time is spent here.
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
        """Waits until so many bytes have arrived, and gives them.

        Args:
            size: How many bytes; at most `Socket.buffer_limit`.

        Raises:
            EOFError: The peer ended before (#2030). What has arrived can be had with `receive`.
            IOError: The connection broke; or it was closed on this side (#2002).
            RuntimeError: Another task receives from this socket.
            RangeError: `size` is negative, or more than the socket may keep (#2006).
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
        """Waits until a separator has arrived, and gives all up to it and with it.

        Args:
            separator: What ends a message.
            limit: How many bytes a message may have, the separator included.

        Raises:
            EOFError: The peer ended before (#2030). What has arrived can be had with `receive`.
            RangeError: `limit` is negative, or so many bytes have arrived without a separator (#2006); they can be had
                with `receive`.
            ArgumentError: `separator` is empty (#2004).
            IOError: The connection broke; or it was closed on this side (#2002).
            RuntimeError: Another task receives from this socket.
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
        """Refuses a call that would receive, where that is not possible."""
        reactor: Any = self.socket.reactor
        reactor._check_thread()
        flow = self._flow
        if flow.reader is not None or flow.closed:
            flow.refuse_reader(call)

    async def _let_others_run(self, call: str) -> None:
        """A checkpoint before a receiver begins: another may have begun meanwhile, or closed the connection."""
        await self._library.checkpoint()
        self._require_reader(call)

    async def _input(self, wanted: int) -> None:
        """Waits for input, until so many bytes are there or no more can come."""
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
        """Sends bytes, and waits while more are pending than `Socket.high_water_mark`.

        The bytes are the connection's at once, all of them and in one piece among those of other tasks: they go out
        even if the task is cancelled while it waits.

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
        """Queues bytes at once, all of them, whether or not the peer keeps up; what the system takes goes out at once.

        Args:
            data: Any bytes-like object.

        Returns:
            True if the connection is not congested, with at most `Socket.high_water_mark` bytes pending. False if more
            are; these bytes are queued all the same. Then ``await drain()`` before sending more, because what is
            pending costs memory, up to `Socket.buffer_limit`.

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
        self._library.unwaited += 1  # as in owes_checkpoint, without a call
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
        """Ends the output: the peer gets what is pending, and then its end of the stream. Receiving goes on.

        Called again, it does nothing.

        Raises:
            IOError: The connection broke, or it was closed (#2002).
        """
        self._flow.raise_if_broken()
        if not self.socket.output_ended:
            self.socket.write_eof()
        if self._library.owes_checkpoint():
            await self._library.checkpoint()

    async def _finished(self) -> None:
        """Waits until both sides have ended their output and the system has taken all of it; an error if it broke."""
        flow, socket = self._flow, self.socket
        socket.add_event_listener("close", flow._ended)
        try:
            while socket.connected:
                await self._input(1)
        finally:
            socket.remove_event_listener("close", flow._ended)
        flow.raise_if_broken()

    def close(self) -> None:
        """Closes without waiting: what is pending is sent in the background. A second call does nothing.

        Unread input is dropped. Tasks that wait for input or output get an `IOError`. If the loop ends before all of it
        was sent, the connection is reset: use `aclose`, or leave an ``async with``, to wait.
        """
        self._flow.close()

    def abort(self) -> None:
        """Drops what is pending, also of a `close` before, and resets the connection. A second call does nothing."""
        self._flow.abort()

    async def aclose(self) -> None:
        """Closes, and waits until the system has taken all output. Leaving an ``async with`` does the same.

        It gives up, and resets the connection, when the peer acknowledges nothing for 60 seconds, and in any case after
        an hour. If this task is cancelled meanwhile, the connection is reset at once. Unread input is dropped. A second
        call waits for the same.
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
        """Closes after an error or without one. A task that was cancelled must not wait: what is unsent is dropped."""
        if error is None or isinstance(error, Exception):
            await self.aclose()
            return
        self.close()
        lingering = self._flow.lingering
        if lingering is not None and lingering.bytes_pending:
            self.abort()

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
        """True if the connection is open."""
        return self.socket.connected

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.socket!r}>"


def close_forgotten(facade: object, reactor: Reactor, close: Callable[[], object]) -> None:
    """Closes what the program has let go of and has not closed.

    The reactor does it: objects are collected at any moment, and in any thread.
    """
    with suppress(RuntimeError):  # it is closed, with all that belongs to it
        reactor.call_soon_threadsafe(close)
    warnings.warn(f"unclosed {facade!r}", ResourceWarning, source=facade, stacklevel=3)

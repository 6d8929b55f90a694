"""The common part of the interfaces for trio and anyio: errors for resources that are closed, broken or busy."""

from __future__ import annotations

from types import ModuleType
from typing import TYPE_CHECKING, ClassVar

from .. import errors
from .servers import AsyncServer
from .sockets import AsyncSocket

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from .. import ByteArray, ServerSocket, Socket


class Adapter:
    """Translates errors to the exceptions of a library."""

    _library: ClassVar[ModuleType]
    _busy: ClassVar[str] = "another task is {} this stream already"

    def _closed_error(self) -> Exception:
        error: Exception = self._library.ClosedResourceError()
        return error

    def _broken_error(self, reason: errors.IOError) -> Exception:
        error: Exception = self._library.BrokenResourceError(str(reason))
        return error

    def _busy_error(self, doing: str) -> Exception:
        error: Exception = self._library.BusyResourceError(self._busy.format(doing))
        return error


class StreamAdapter(Adapter):
    """A connection; one task at a time may use each direction.

    Args:
        socket: A connected `Socket` without listeners of its own, or an `AsyncSocket`.

    Raises:
        IOError: The socket is not connected (#2002).
        RuntimeError: The call does not come from a coroutine of asyncio or trio.
    """

    def __init__(self, socket: AsyncSocket | Socket) -> None:
        self.socket = socket if isinstance(socket, AsyncSocket) else AsyncSocket(socket)
        self._closed = self._sending = self._receiving = False

    async def _receive(self, size: int) -> bytes:
        if self._receiving:
            raise self._busy_error("receiving from")
        self._receiving = True
        try:
            return await self.socket.receive(size)
        except errors.IOError as error:
            raise self._closed_error() if self._closed else self._broken_error(error) from error
        finally:
            self._receiving = False

    async def _send(self, data: Buffer | ByteArray | None) -> None:
        """Sends; or with ``None``, waits until sending would not have to wait."""
        if self._sending:
            raise self._busy_error("sending on")
        if self._closed or self.socket.socket.output_ended:
            raise self._closed_error()
        self._sending = True
        try:
            await (self.socket.drain() if data is None else self.socket.send(data))
        except errors.IOError as error:
            raise self._closed_error() if self._closed else self._broken_error(error) from error
        finally:
            self._sending = False

    async def send_eof(self) -> None:
        """Ends the output, see `AsyncSocket.send_eof`.

        Raises the same errors as sending, if the connection broke, was closed on this side, or another task is sending.
        """
        if self._sending:
            raise self._busy_error("sending on")
        if self._closed:
            raise self._closed_error()
        try:
            await self.socket.send_eof()
        except errors.IOError as error:
            raise self._broken_error(error) from error

    async def aclose(self) -> None:
        """Closes, and waits until the system has taken all output, see `AsyncSocket.aclose`."""
        self._closed = True
        await self.socket.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} of {self.socket.socket!r}>"


class ListenerAdapter(Adapter):
    """A listening server.

    Args:
        server: A listening `ServerSocket`, or an `AsyncServer`.

    Raises:
        IOError: The server does not listen (#2002).
        RuntimeError: The call does not come from a coroutine of asyncio or trio.
    """

    def __init__(self, server: AsyncServer | ServerSocket) -> None:
        self.server = server if isinstance(server, AsyncServer) else AsyncServer(server)

    async def _accept(self) -> AsyncSocket:
        try:
            return await self.server.accept()
        except errors.IOError as error:
            raise self._closed_error() from error

    async def aclose(self) -> None:
        """Stops listening, and closes the connections that were not taken yet. A second call does nothing."""
        await self.server.aclose()

    def __repr__(self) -> str:
        return f"<{type(self).__module__}.{type(self).__qualname__} of {self.server.server!r}>"

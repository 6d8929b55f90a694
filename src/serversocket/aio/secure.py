"""TLS of a connection, for coroutines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import errors
from ..naming import with_as3_names
from .once import once

if TYPE_CHECKING:
    import ssl

    from .. import TLSInfo


@with_as3_names
class AsyncSecure:
    """The TLS of an `AsyncSocket`, which is its only subclass."""

    __slots__ = ()

    if TYPE_CHECKING:
        socket: Any
        _flow: Any

        def _require_reader(self, call: str) -> None: ...

    async def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        handshake_timeout: float | None = 30.0,
        require_close_notify: bool = True,
    ) -> None:
        """Begins TLS on this connection, see `Socket.start_tls`, and waits for the end of the handshake.

        Unread input belongs to TLS; output that was sent before leaves as it is.

        Args:
            context: What this end speaks with.
            server_side: This end is the server's.
            server_hostname: The name that the server's certificate must have.
            handshake_timeout: Seconds that the handshake may take; ``None`` or 0 for any time.
            require_close_notify: See `Socket.require_close_notify`.

        Raises:
            IOError: The handshake has failed (#2031); or the socket is not connected, has TLS already, or one side has
                ended its output (#2002).
            ArgumentError: The context checks names and there is no `server_hostname`, or it is that of the other side
                (#2004).
            RangeError: `handshake_timeout` is negative or not-a-number (#2006).
            RuntimeError: Another task receives from this socket.
            TypeError: An argument has the wrong type.

        Example:
            >>> import ssl
            >>> async def secure(client):
            ...     await client.send(b"STARTTLS\\r\\n")
            ...     await client.receive_until(b"\\r\\n")
            ...     await client.start_tls(ssl.create_default_context(), server_hostname="example.org")
        """
        flow = self._flow
        self._require_reader("start_tls")
        self.socket.start_tls(
            context,
            server_side=server_side,
            server_hostname=server_hostname,
            handshake_timeout=handshake_timeout,
            require_close_notify=require_close_notify,
        )
        if flow.held:
            flow.let_in()
        try:
            await once(self.socket, "secureConnect")
        except errors.IOError:
            flow.raise_if_broken()
            raise

    @property
    def tls(self) -> TLSInfo | None:
        """What TLS has agreed on, see `Socket.tls`."""
        tls: TLSInfo | None = self.socket.tls
        return tls

"""What a connection tells of its TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .. import errors
from ..checks import as_seconds
from ..events import Event
from ..naming import with_as3_names

if TYPE_CHECKING:
    import ssl


@with_as3_names
class TLSInfo:
    """What TLS has agreed on; `Socket.tls`.

    Args:
        ssl_object: Python's object of the connection.
        server_name: The name that the client has asked for.

    Example:
        >>> def connected(event):
        ...     print(event.socket.tls.version, event.socket.tls.alpn_protocol)
    """

    __slots__ = ("_server_name", "_ssl_object")

    def __init__(self, ssl_object: ssl.SSLObject, server_name: str | None) -> None:
        self._ssl_object = ssl_object
        self._server_name = server_name

    @property
    def version(self) -> str | None:
        """The version, such as ``"TLSv1.3"``."""
        return self._ssl_object.version()

    @property
    def cipher(self) -> str | None:
        """The name of the cipher, such as ``"TLS_AES_256_GCM_SHA384"``."""
        cipher = self._ssl_object.cipher()
        return None if cipher is None else cipher[0]

    @property
    def alpn_protocol(self) -> str | None:
        """The protocol that both have agreed on by ALPN; ``None`` if on none."""
        return self._ssl_object.selected_alpn_protocol()

    @property
    def server_name(self) -> str | None:
        """The name of the server that the client has asked for; ``None`` if for none."""
        return self._server_name

    @property
    def peer_certificate(self) -> dict[str, Any] | None:
        """The peer's certificate as `ssl.SSLSocket.getpeercert` gives it; ``None`` if it has shown none.

        It is empty where the certificate was not checked.
        """
        return self._ssl_object.getpeercert()

    @property
    def peer_certificate_der(self) -> bytes | None:
        """The peer's certificate as it was sent; ``None`` if it has shown none."""
        return self._ssl_object.getpeercert(True)

    @property
    def session_reused(self) -> bool:
        """True if an earlier session was resumed."""
        return bool(self._ssl_object.session_reused)

    @property
    def ssl_object(self) -> ssl.SSLObject:
        """Python's own object, to ask for what is not here. Reading or writing with it breaks the connection."""
        return self._ssl_object

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.version} {self.cipher}>"


@with_as3_names
class Secure:
    """The TLS of a connection. The engine's stream is another base of a socket."""

    if TYPE_CHECKING:
        connected: Any
        input_ended: Any
        output_ended: Any
        _wire_counts: Any

        def _check_thread(self) -> None: ...
        def _install(self, filter: Any, live: bool = False) -> None: ...
        def dispatch_event(self, event: Event) -> bool: ...
        def read(self, size: int = -1) -> bytes: ...

    # Class attributes until they are set, so that a connection which does not use them does not pay for them.
    _tls: Any = None  # the filter, once the handshake is over
    _require_close_notify: bool = True

    @property
    def tls(self) -> TLSInfo | None:
        """What TLS has agreed on; ``None`` before that, and without TLS. It is readable until the next `connect`."""
        filter = self._tls
        return None if filter is None else TLSInfo(filter.ssl_object, filter.server_name)

    @property
    def require_close_notify(self) -> bool:
        """True, by default, if a peer that ends its stream under TLS has to say so with a close_notify.

        Where it does not, an attacker may have truncated the stream: ``ioError`` tells so, with an `errno` of ``None``,
        then ``close``; what came before stays readable. Set to False, it is taken for a plain end, for protocols that
        know by themselves when they are complete. A stream that ends inside a record is cut in any case.

        Raises:
            RuntimeError: The socket belongs to another thread.

        Example:
            >>> import serversocket
            >>> def connected(event):
            ...     event.socket.require_close_notify = False
        """
        return self._require_close_notify

    @require_close_notify.setter
    def require_close_notify(self, value: bool) -> None:
        self._check_thread()
        self._require_close_notify = bool(value)
        if self._tls is not None:
            self._tls.require_close_notify = self._require_close_notify

    def start_tls(
        self,
        context: ssl.SSLContext,
        *,
        server_side: bool = False,
        server_hostname: str | None = None,
        handshake_timeout: float | None = 30.0,
        require_close_notify: bool = True,
    ) -> None:
        """Begins TLS on this connection, as protocols with a STARTTLS do it; ``secureConnect`` (`Event`) follows.

        What was written before leaves as it is, and what is written from here on waits for the handshake. Unread input,
        and whatever comes, belongs to TLS: what an attacker has put in front of it makes the handshake fail. It goes on
        while the socket is paused. Where it fails, the peer gets an alert, and ``ioError`` and ``close`` follow.

        Args:
            context: What this end speaks with: one of `ssl.create_default_context` for a client, and one of
                `tls_context` for a server.
            server_side: This end is the server's.
            server_hostname: The name that the server's certificate must have; also what the server is asked for.
            handshake_timeout: Seconds that the handshake may take; ``None`` or 0 for any time.
            require_close_notify: See `Socket.require_close_notify`.

        Raises:
            IOError: The socket is not connected, has TLS already, or one side has ended its output (#2002).
            ArgumentError: The context checks names and there is no `server_hostname`, or it is that of the other side
                (#2004).
            RangeError: `handshake_timeout` is negative or not-a-number (#2006).
            TypeError: An argument has the wrong type.

        Example:
            >>> import ssl, serversocket
            >>> def greeted(event):
            ...     if event.target.read().startswith(b"220 go ahead"):
            ...         event.target.start_tls(ssl.create_default_context(), server_hostname="example.org")
            >>> socket = serversocket.Socket()
            >>> socket.add_event_listener("socketData", greeted)
            >>> socket.add_event_listener("secureConnect", lambda event: event.target.write(b"EHLO\\r\\n"))
        """
        self._check_thread()
        seconds = as_seconds("handshake_timeout", handshake_timeout)
        if not self.connected:
            raise errors.not_open("start_tls")
        if self._wire_counts is not None:
            raise errors.invalid_socket("start_tls", "the connection has TLS already")
        if self.input_ended or self.output_ended:
            raise errors.invalid_socket("start_tls", "one side has ended its output")
        from .tls import Starting  # noqa: PLC0415 - imports ssl

        filter = Starting(self, context, bool(server_side), server_hostname, seconds)
        self._require_close_notify = filter.require_close_notify = bool(require_close_notify)
        unread = self.read()
        self._install(filter, True)
        filter.read_on(unread)

    def _secured(self) -> None:
        """The handshake that `start_tls` has begun is over."""
        self.dispatch_event(Event("secureConnect"))

"""What a connection tells of its TLS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

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

        def _check_thread(self) -> None: ...

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
        """True, at first, if a peer that ends its stream under TLS has to say so with a close_notify.

        Where it does not, somebody else may have cut the stream: ``ioError`` tells so, with an `errno` of ``None``,
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

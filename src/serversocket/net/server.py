"""`ServerSocket`: listens for TCP connections."""

from __future__ import annotations

import errno
import os
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, ClassVar, Self, SupportsIndex

from .. import errors
from ..checks import as_backlog, as_defer_accept, as_limit, as_port, as_seconds
from ..engine import Acceptor, extend_type
from ..engine.endpoints import SocketAddress, host_of, port_of
from ..events import IOErrorEvent
from ..loop.reactor import Reactor, current_reactor
from ..naming import with_as3_names
from . import listening
from .addresses import Host, format_endpoint, parse_address, refused, require_local, require_reuse_port
from .socket import Socket

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from .hello import ClientHello

    TLS = ssl.SSLContext | Callable[[ClientHello], ssl.SSLContext | Awaitable[ssl.SSLContext | None] | None]

# After a failed accept: when to try again, and how often to report it. Seconds.
ACCEPT_BACK_OFF = 0.05
ERROR_INTERVAL = 1.0


@with_as3_names
class ServerSocket(Acceptor):
    """Listens for TCP connections (AIR: ``flash.net.ServerSocket``).

    Args:
        reactor: The reactor that delivers its events; the calling thread's by default.

    It dispatches ``connect`` (`ServerSocketConnectEvent`) for each client; ``close`` (`Event`) when the system closes
    the listening socket, but not for the program's own `close`; ``ioError`` (`IOErrorEvent`), at most once a
    second, when connections cannot be accepted, for instance because no descriptor is left; and with `tls`,
    ``tlsError`` (`TLSErrorEvent`) for each client whose handshake fails. Clients are accepted only while ``connect``
    has a listener.

    Example:
        >>> import serversocket
        >>> server = serversocket.ServerSocket()
        >>> server.bind(0, "127.0.0.1")
        >>> server.listen()
        >>> server.bound, server.listening, server.local_address, server.local_port > 0
        (True, True, '127.0.0.1', True)
        >>> server.close()
    """

    is_supported: ClassVar[bool] = True

    _next_report: float = 0.0
    _handshake_timeout: float = 30.0
    _name: SocketAddress | None = None  # the address that it is or was bound to

    def __init__(self, *, reactor: Reactor | None = None) -> None:
        super().__init__()
        self._attach(current_reactor() if reactor is None else reactor)
        self._socket_class = Socket

    def bind(
        self,
        local_port: SupportsIndex = 0,
        local_address: Host = "0.0.0.0",
        *,
        dual_stack: bool = False,
        reuse_port: bool = False,
    ) -> None:
        """Binds to a local address and port, immediately (AIR: ``bind``).

        Args:
            local_port: 0 to 65535; 0 chooses a free port, which the property `local_port` returns afterwards.
            local_address: An IPv4 or IPv6 address, as a string or an object of the `ipaddress` module. ``"0.0.0.0"``
                and ``""`` mean all IPv4 addresses, ``"::"`` all IPv6 addresses.
            dual_stack: True to accept IPv4 connections on an IPv6 address too; they look like ``::ffff:192.0.2.1``.
            reuse_port: True to share the port with other sockets of the same user that are bound with `reuse_port`
                too; the system distributes the connections over those that listen. See `Supervisor`, which uses it.

        Raises:
            RangeError: `local_port` is outside 0 to 65535 (#2003).
            ArgumentError: `local_address` is not a well-formed IP address (#2004), or is IPv4 with `dual_stack`.
            IOError: The socket is already bound; or the system refuses, because the port is taken, needs privileges,
                or the address is not one of this machine (#2002, with `errno`); or `reuse_port` is set and the system
                is not Linux, so it does not distribute connections over sockets that share a port (``ENOTSUP``).
            TypeError: An argument has the wrong type.

        Example:
            >>> server = ServerSocket()
            >>> server.bind(0, "127.0.0.1")
            >>> server.local_address, server.local_port > 0
            ('127.0.0.1', True)
            >>> server.close()
        """
        self._check_thread()
        port = as_port("local_port", local_port)
        address = parse_address(local_address)
        if dual_stack and not address.is_ipv6:
            raise errors.bad_address(local_address, "is IPv4; dual_stack needs an IPv6 address such as '::'")
        if self.bound:
            raise errors.invalid_socket("bind", f"already bound to {self._endpoint()}; close() it first")
        require_local(address, port)
        if reuse_port:
            require_reuse_port()
        try:
            descriptor, name = listening.bind(address, port, dual_stack=dual_stack, reuse_port=reuse_port)
            try:
                self._take(descriptor, False)
            except BaseException:
                os.close(descriptor)
                raise
        except OSError as error:
            raise refused("bind", address, port, error) from None
        self._name = name

    def _inherit(self, descriptor: int) -> None:
        """Takes over a descriptor that is bound or listens. If this raises, the caller still owns it, unchanged."""
        self._check_thread()
        if self.bound:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        listens, name = listening.inspect(descriptor)
        with listening.private(descriptor):
            self._take(descriptor, listens)
        self._name = name

    @property
    def local_address(self) -> str | None:
        """The IP address that the socket is bound to, ``None`` if it is not bound (AIR: ``localAddress``)."""
        return host_of(self._name) if self.bound else None

    @property
    def local_port(self) -> int:
        """The port that the socket is bound to, 0 if it is not bound (AIR: ``localPort``)."""
        return port_of(self._name) if self.bound else 0

    @property
    def max_connections(self) -> int | None:
        """How many connections may be open at once; ``None``, the default: any number.

        Further clients are accepted and closed at once, so that they notice; `turned_away` counts them.

        Raises:
            TypeError: The value is neither an integer nor ``None``.
            RangeError: It is not positive (#2006).
        """
        return self._most_connections or None

    @max_connections.setter
    def max_connections(self, value: SupportsIndex | None) -> None:
        self._check_thread()
        self._most_connections = 0 if value is None else as_limit("max_connections", value)

    @property
    def tls(self) -> TLS | None:
        """What gives the clients TLS: an `ssl.SSLContext`, such as `tls_context` makes; ``None``, at first, for none.

        ``connect`` follows when the handshake is over. A client that does not come through it is told by an alert and
        by ``tlsError``, and counts in `turned_away`; the program does not see it otherwise, and nothing is logged. It
        may be set at any time, and holds for clients that are accepted from then on: that is how a new certificate is
        put in place.

        A callable is asked for the context of each client, with a `ClientHello`, before anything is answered. It
        returns a context, ``None`` for a client that is to be refused (unrecognized_name), or an awaitable of these,
        which the loop that hosts the reactor awaits; other clients do not wait for it. What it raises becomes
        ``uncaughtError``, and the client is refused.

        Raises:
            TypeError: The value is neither a context nor callable.
            ArgumentError: The context is a client's (#2004).

        Example:
            >>> import serversocket
            >>> server = serversocket.ServerSocket()
            >>> contexts = {}
            >>> def choose(hello):
            ...     return contexts.get(hello.server_name)
            >>> server.tls = choose
        """
        admission: Any = self._admission
        return getattr(admission, "tls", None)

    @tls.setter
    def tls(self, value: TLS | None) -> None:
        self._check_thread()
        if value is None:
            self._admission = None
            return
        from .handshakes import Admission  # noqa: PLC0415 - imports ssl

        admission = Admission(self, value, self._handshake_timeout)
        before: Any = self._admission
        if isinstance(before, Admission):
            admission.pending = before.pending
        self._admission = admission

    @property
    def handshake_timeout(self) -> float | None:
        """Seconds from the accept on that a client may take for the handshake of TLS; 30 at first, ``None`` for any.

        Then it is refused: ``tlsError`` has ``errno.ETIMEDOUT``. It holds for clients that are accepted from then on.

        Raises:
            TypeError: The value is neither a number nor ``None``.
            RangeError: It is negative or not-a-number (#2006).
        """
        return self._handshake_timeout or None

    @handshake_timeout.setter
    def handshake_timeout(self, value: float | None) -> None:
        self._check_thread()
        self._handshake_timeout = as_seconds("handshake_timeout", value)
        admission: Any = self._admission
        if self.tls is not None:
            admission.timeout = self._handshake_timeout

    def listen(self, backlog: SupportsIndex = 0, *, defer_accept: SupportsIndex = 0) -> None:
        """Starts listening (AIR: ``listen``); the reactor then delivers ``connect`` events.

        Args:
            backlog: How many clients may wait to be accepted; 0, and values beyond the system's maximum, mean the
                system's maximum.
            defer_accept: Seconds, 0 for off. The system reports a client only when it has sent something, or after it
                has been silent for about so long: for protocols in which the client speaks first. Linux only.

        Raises:
            IOError: The socket is not bound, or the system refuses; or `defer_accept` is not 0 and the system is not
                Linux (#2002).
            RangeError: `backlog` or `defer_accept` is negative (#2006).
            TypeError: One of them is not an integer.

        Example:
            >>> server = ServerSocket()
            >>> server.bind(0, "127.0.0.1")
            >>> server.listen(backlog=128)
            >>> server.close()
        """
        self._check_thread()
        if not self.bound:
            raise errors.invalid_socket("listen", "the socket is not bound: call bind() first")
        length = as_backlog("backlog", backlog)
        seconds = as_defer_accept("defer_accept", defer_accept)
        try:
            listening.listen(self.fileno(), length, seconds, again=self.listening)
            self._listen(seconds > 0)
        except OSError as error:
            raise errors.invalid_socket("listen", self._endpoint(), error) from None

    def close(self) -> None:
        """Stops listening and releases the port, without an event (AIR: ``close``). It may be bound again.

        Accepted connections stay open; the system resets clients that are still waiting to be accepted.

        Raises:
            IOError: The socket is not open (#2002).
        """
        self._close()

    def _accept_failed(self, code: int, lasting: bool) -> None:
        """Reports that a client could not be accepted. If `lasting`, no client can be: pauses for a while."""
        if lasting:
            self.reactor.call_later(ACCEPT_BACK_OFF, self._accept_again)  # before the pause, so it cannot last forever
            self._pause()
        now = time.monotonic()
        if now >= self._next_report and self.has_event_listener(IOErrorEvent.IO_ERROR):
            self._next_report = now + ERROR_INTERVAL
            self.dispatch_event(IOErrorEvent._of(errors.invalid_socket("accept", self._endpoint(), code)))

    def _accept_again(self) -> None:
        try:
            self._resume()
        except BaseException:
            self.reactor.call_later(ACCEPT_BACK_OFF, self._accept_again)
            raise

    def _endpoint(self) -> str:
        return format_endpoint(self.local_address or "", self.local_port)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.bound:
            self.close()

    def __repr__(self) -> str:
        name = f"{type(self).__module__.partition('.')[0]}.{type(self).__name__}"
        if not self.bound:
            return f"<{name} not bound>"
        return f"<{name} {'listening on' if self.listening else 'bound to'} {self._endpoint()}>"


with_as3_names(Acceptor, extend_type)

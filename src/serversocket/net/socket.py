"""`Socket`: a TCP connection, accepted by a `ServerSocket` or made by its own `connect`."""

from __future__ import annotations

from types import TracebackType
from typing import Self, SupportsIndex

from .. import errors
from ..checks import as_client_port, as_limit, as_mark, as_milliseconds, as_port
from ..data.byte_array import ByteArray
from ..data.typed import DataInput, DataOutput, resize
from ..defaults import DEFAULT_TIMEOUT, HIGH_WATER_MARK
from ..engine import Connector, Source, Stream, extend_type, quicken
from ..events import IOErrorEvent
from ..loop.reactor import Reactor, current_reactor
from ..naming import with_as3_names
from .addresses import Address, Host, format_endpoint, parse_host, parse_origin
from .connecting import Attempt
from .secure import Secure
from .timeouts import Liveness


@with_as3_names
class Socket(Stream, Liveness, Secure, DataInput, DataOutput):
    """A TCP connection (AIR: ``flash.net.Socket``).

    Args:
        host: The host to connect to at once, see `connect`; ``None`` (the default) makes an unconnected socket.
        port: The port to connect to.
        reactor: The reactor that delivers its events; the calling thread's by default.

    It dispatches ``connect`` (`Event`), ``socketData`` (`ProgressEvent`), ``outputProgress`` (`OutputProgressEvent`),
    ``ioError`` (`IOErrorEvent`) and ``close`` (`Event`); with `allow_half_open` also ``end`` (`Event`). The peer's last
    bytes arrive before its ``close`` and stay readable during and after it. A socket with a listener stays alive while
    it is open, even if the program keeps no reference to it.

    Nagle's algorithm is on, as in AIR: a small write may wait up to 40 ms for the acknowledgement of the previous one.
    Set `tcp_no_delay` to send each write at once, as asyncio, trio and `serversocket.aio` do.

    Example:
        >>> import serversocket
        >>> socket = serversocket.Socket()
        >>> socket.connected, socket.remote_address, socket.remote_port
        (False, None, 0)
    """

    # Class attributes until they are set, so that a connection that does not use them does not pay for them.
    _timeout: int = DEFAULT_TIMEOUT
    _high_water_mark: int = HIGH_WATER_MARK
    _host: str = ""
    _port: int = 0
    _origin: str = ""
    _attempt: Attempt

    def __init__(self, host: Host | None = None, port: SupportsIndex = 0, *, reactor: Reactor | None = None) -> None:
        super().__init__()
        self._attach(current_reactor() if reactor is None else reactor)
        if host is not None:
            self.connect(host, port)

    @property
    def timeout(self) -> int:
        """How long a `connect` may take, in milliseconds; 20,000 by default, at least 250 (AIR: ``timeout``).

        Smaller values become 250; values beyond the range of the clock are clamped.

        Raises:
            TypeError: The value is not an integer.
        """
        return self._timeout

    @timeout.setter
    def timeout(self, value: int) -> None:
        self._check_thread()
        self._timeout = as_milliseconds("timeout", value)

    @property
    def allow_half_open(self) -> bool:
        """True if the connection stays open for output after the peer has ended its own; off by default, as in AIR.

        If it is set, an ``end`` event (`Event`) reports the peer's end, and the program closes the socket after its
        last write. ``close`` follows only if the program calls `write_eof`, or if the connection breaks.

        Raises:
            RuntimeError: Another thread owns the socket.

        Example:
            >>> import serversocket
            >>> def connected(event):
            ...     event.socket.allow_half_open = True
            ...     event.socket.add_event_listener("end", answer)
            >>> def answer(event):
            ...     event.target.write(b"%d bytes" % event.target.bytes_available)
            ...     event.target.close()
            >>> server = serversocket.ServerSocket()
            >>> server.add_event_listener("connect", connected)
        """
        return self._half_open

    @allow_half_open.setter
    def allow_half_open(self, value: bool) -> None:
        self._check_thread()
        self._half_open = bool(value)

    @property
    def abort_on_error(self) -> bool:
        """True if the connection breaks when a listener of this socket raises; False, the default, as in AIR.

        If it is set, the connection is reset, so that the peer does not wait for an answer that never comes. The error
        becomes ``uncaughtError`` as always; ``ioError`` with ``errno.ECONNABORTED`` and ``close`` follow from the
        reactor. The value is kept over reconnects.

        Raises:
            RuntimeError: Another thread owns the socket.

        Example:
            >>> import serversocket
            >>> def connected(event):
            ...     event.socket.abort_on_error = True
            >>> server = serversocket.ServerSocket()
            >>> server.add_event_listener("connect", connected)
        """
        return self._fragile

    @abort_on_error.setter
    def abort_on_error(self, value: bool) -> None:
        self._check_thread()
        self._fragile = bool(value)

    @property
    def buffer_limit(self) -> int:
        """The most bytes of unread input and unsent output that the socket may hold; 256 MiB by default.

        A `write` over the limit raises, and the connection is broken, because the peer must not get a stream with a
        gap. Unread input over the limit breaks the connection too; it can still be read. The ``ioError`` has
        ``errno.ENOBUFS``. Use `congested` and `pause` (backpressure) to stay below the limit: no read takes more than
        there is room for, so a program that pauses at the limit is in time.

        Raises:
            TypeError: The value is not an integer.
            RangeError: It is not positive (#2006).

        Example:
            >>> import serversocket
            >>> socket = serversocket.Socket()
            >>> socket.buffer_limit = 1024 * 1024
        """
        return self._buffer_limit

    @buffer_limit.setter
    def buffer_limit(self, value: SupportsIndex) -> None:
        self._check_thread()
        self._buffer_limit = as_limit("buffer_limit", value)

    @property
    def high_water_mark(self) -> int:
        """How many bytes of output may be pending before the socket is `congested`; 65,536 by default.

        Raises:
            TypeError: The value is not an integer.
            RangeError: It is negative (#2006).
        """
        return self._high_water_mark

    @high_water_mark.setter
    def high_water_mark(self, value: SupportsIndex) -> None:
        self._check_thread()
        self._high_water_mark = as_mark("high_water_mark", value)

    @property
    def congested(self) -> bool:
        """True if more output is pending than `high_water_mark`: the backpressure of a peer that does not keep up.

        Check it after a `write`. If it is True, stop writing until an ``outputProgress`` event finds it False.

        Example:
            >>> import serversocket
            >>> def send(event):
            ...     while not event.target.congested:
            ...         event.target.write(bytes(8192))
            >>> socket = serversocket.Socket()
            >>> socket.add_event_listener("connect", send)
            >>> socket.add_event_listener("outputProgress", send)
        """
        return bool(self.bytes_pending > self._high_water_mark)

    def connect(
        self, host: Host, port: SupportsIndex, *, local_address: Host | None = None, local_port: SupportsIndex = 0
    ) -> None:
        """Starts connecting (AIR: ``connect``); a ``connect`` or ``ioError`` event reports the outcome.

        A host name is resolved in the background, and its addresses of both families are tried. Up to 16 names are
        resolved at once, others wait in order; `timeout` counts from the call on. An existing connection is closed
        first, as by `close`.

        If the system refuses a thread, a descriptor or the connection, the reactor dispatches one ``ioError``. A
        connection to itself counts as refused: the system makes one if no server listens on the port and it chooses
        the same port for this end.

        Args:
            host: A host name, an IP address as a string or an object of the `ipaddress` module.
            port: 0 to 65535; the system refuses 0.
            local_address: The IP address of this machine to connect from; ``None`` (the default) lets the system
                choose. Addresses of the host that are of the other family are not tried.
            local_port: The port to connect from; 0 (the default) lets the system choose.

        Raises:
            SecurityError: `port` is outside 0 to 65535 (#2003).
            RangeError: `local_port` is outside 0 to 65535 (#2003).
            TypeError: `host` is ``None`` (#1009) or not a string, or another argument has the wrong type.
            ArgumentError: `host` cannot be a host name (#2004): empty, a URI, too long, or with blanks or NULs in it;
                or `local_address` is not a well-formed IP address (#2004).

        Example:
            >>> import serversocket
            >>> socket = serversocket.Socket()
            >>> socket.connect("127.0.0.1", 80, local_address="127.0.0.2")
            >>> socket.close()
        """
        self._check_thread()
        number = as_client_port("port", port)
        own_port = as_port("local_port", local_port, "connect: local_port")
        target: str | Address | OSError
        try:
            target = parse_host(host)
            name = target.text if isinstance(target, Address) else target
            origin = parse_origin(local_address, own_port)
        except errors.IOError as error:  # an unknown interface, or an address that no machine can have
            target, name, origin = error.with_traceback(None), str(host), None
        source = _shown_origin(local_address, own_port)
        if self._opened:
            self.close()
        self._host = name
        self._port = number
        self._origin = source
        self._tls = None
        attempt = self._attempt = Attempt(self, target, number, self._timeout / 1000, origin)
        try:
            self._follow(attempt)
            self._begin_connecting()
        except BaseException:
            self._unfollow(attempt)
            attempt.cancel()
            raise

    def _connected(self, connector: Connector) -> None:
        self._unfollow(self._attempt)
        self._adopt(connector)

    def _refused(self, cause: OSError) -> None:
        self._unfollow(self._attempt)
        self._connecting_failed()
        target = format_endpoint(self._host, self._port)
        self._dispatch_error(errors.broken(f"URL: {self._host} connect {target}{self._origin}", cause))

    def _broken(self, code: int, call: str) -> None:
        cause = self._filter_error or code
        self._dispatch_error(
            cause if isinstance(cause, errors.IOError) else errors.broken(f"{call} {self._peer()}", cause)
        )

    def _dispatch_error(self, error: errors.IOError) -> None:
        if self.has_event_listener(IOErrorEvent.IO_ERROR):
            self.dispatch_event(IOErrorEvent._of(error))

    def _peer(self) -> str:
        return format_endpoint(self.remote_address or "", self.remote_port)

    def _coerce(self, data: object) -> bytes:
        if isinstance(data, ByteArray):
            return bytes(data)
        raise errors.wrong_type("data", data, "bytes-like")

    def _move(self, target: bytearray, offset: int, size: int, call: str, /) -> None:
        # The target may be `read_buffer`, which contains the input: `readinto` moves the unread rest.
        if size > self.bytes_available:
            raise errors.end_of_file(call, size, self.bytes_available)
        if offset + size > len(target):
            resize(target, offset + size)
        with memoryview(target) as whole, whole[offset : offset + size] as place:
            self.readinto(place)

    def _put(self, data: bytes) -> None:
        self.write(data)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._opened:
            self.close()

    def __repr__(self) -> str:
        name = f"{type(self).__module__.partition('.')[0]}.{type(self).__name__}"
        if self.connected:
            return f"<{name} {self._peer()}>"
        return f"<{name} {'connecting' if self._opened else 'not connected'}>"


def _shown_origin(address: Host | None, port: int) -> str:
    """Returns the local address and port of a connect as its errors show them."""
    if address is None:
        return f" from port {port}" if port else ""
    return f" from {format_endpoint(str(address), port) if port else address}"


for _class in Stream.__mro__[: Stream.__mro__.index(Source)]:
    with_as3_names(_class, extend_type)
quicken(Socket)

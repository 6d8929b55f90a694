"""`connect`: a connection to a server, for coroutines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, SupportsIndex

from .. import errors
from ..net.addresses import Host
from .backends import current_library
from .once import once
from .sockets import AsyncSocket

if TYPE_CHECKING:
    import ssl

    from .. import Socket
else:
    from ..net.socket import Socket


async def connect(
    host: Host,
    port: SupportsIndex,
    *,
    local_address: Host | None = None,
    local_port: SupportsIndex = 0,
    tls: bool | ssl.SSLContext = False,
    server_hostname: str | None = None,
) -> AsyncSocket:
    """Connects to a server.

    It gives up after 20 seconds, the default of `Socket.timeout`. Use `asyncio.timeout` or the like for a shorter time.

    Args:
        host: A host name, an IP address as a string or an object of the `ipaddress` module.
        port: 0 to 65535.
        local_address: The IP address of this machine to connect from, see `Socket.connect`.
        local_port: The port to connect from; 0 for any.
        tls: Speak TLS: an `ssl.SSLContext`, or True for that of `ssl.create_default_context`, with the system's own
            authorities.
        server_hostname: The name that the server's certificate must have; `host` by default.

    Returns:
        The connection, which has to be closed, as ``async with await connect(host, port) as socket`` does.

    Raises:
        IOError: The connection was refused, the name has no address, the connect timed out, or `local_address` is not
            an address of this machine, or the TLS handshake failed (#2031). It is also a `ConnectionRefusedError`, a
            `socket.gaierror`, a `TimeoutError` and so on.
        SecurityError: `port` is outside 0 to 65535 (#2003).
        RangeError: `local_port` is outside 0 to 65535 (#2003).
        ArgumentError: `host` cannot be a host name, or `local_address` is not a well-formed IP address (#2004).
        TypeError: An argument has the wrong type.
        RuntimeError: The call does not come from a coroutine of asyncio or trio.

    Example:
        >>> import asyncio, serversocket
        >>> async def main():
        ...     async with serversocket.aio.listen(0, "127.0.0.1") as server:
        ...         async with asyncio.timeout(60):
        ...             client = await serversocket.aio.connect("127.0.0.1", server.local_port)
        ...         async with client:
        ...             return client.remote_port == server.local_port
        >>> asyncio.run(main())
        True
    """
    library = current_library("connect")
    context = _context(tls)
    socket: Any = Socket()
    made: list[AsyncSocket] = []

    def begin() -> None:
        socket.remove_event_listener("connect", begin)
        made.append(AsyncSocket(socket, _library=library))

    try:
        # Before the task wakes, which is later in trio: the peer may have answered and closed by then.
        socket.add_event_listener("connect", begin)
        connected = once(socket, "connect")
        socket.connect(host, port, local_address=local_address, local_port=local_port)
        await connected
        if context is not None:
            await made[0].start_tls(context, server_hostname=str(host) if server_hostname is None else server_hostname)
        return made.pop()
    except BaseException:
        if socket._opened:
            socket.close()
        raise


def _context(tls: Any) -> ssl.SSLContext | None:
    """The context that is meant."""
    if tls is False:
        return None
    import ssl  # noqa: PLC0415 - only where it is used

    if tls is True:
        return ssl.create_default_context()
    if not isinstance(tls, ssl.SSLContext):
        raise errors.wrong_type("tls", tls, "an ssl.SSLContext or a bool")
    return tls

"""The keyword arguments of `serversocket.aio.listen` and `connect`, for functions that pass them on."""

from __future__ import annotations

from typing import TYPE_CHECKING, SupportsIndex, TypedDict

from ..net.addresses import Host

if TYPE_CHECKING:
    import ssl

    from ..net.server import TLS


class ListenOptions(TypedDict, total=False):
    """The options of `serversocket.aio.listen`, which documents them."""

    backlog: SupportsIndex
    dual_stack: bool
    reuse_port: bool
    defer_accept: SupportsIndex
    max_connections: SupportsIndex | None
    tls: TLS | None
    handshake_timeout: float | None


class ConnectOptions(TypedDict, total=False):
    """The options of `serversocket.aio.connect`, which documents them."""

    local_address: Host | None
    local_port: SupportsIndex
    tls: bool | ssl.SSLContext
    server_hostname: str | None

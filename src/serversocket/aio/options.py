"""What `serversocket.aio.listen` and `connect` are told beside port and host, for functions that hand it on."""

from __future__ import annotations

from typing import SupportsIndex, TypedDict

from ..net.addresses import Host


class ListenOptions(TypedDict, total=False):
    """The options of `serversocket.aio.listen`, which says what they are."""

    backlog: SupportsIndex
    dual_stack: bool
    reuse_port: bool
    defer_accept: SupportsIndex
    max_connections: SupportsIndex | None


class ConnectOptions(TypedDict, total=False):
    """The options of `serversocket.aio.connect`, which says what they are."""

    local_address: Host | None
    local_port: SupportsIndex

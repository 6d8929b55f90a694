"""What `serversocket.aio.listen` is told beside port and host, for functions that hand it on."""

from __future__ import annotations

from typing import SupportsIndex, TypedDict


class ListenOptions(TypedDict, total=False):
    """The options of `serversocket.aio.listen`, which says what they are."""

    backlog: SupportsIndex
    dual_stack: bool
    reuse_port: bool
    defer_accept: SupportsIndex
    max_connections: SupportsIndex | None

"""Addresses of sockets as the system calls give and take them."""

from __future__ import annotations

import socket
from typing import Any

__all__ = ["SocketAddress", "host_of", "port_of", "with_scope"]

SocketAddress = tuple[Any, ...]
"""``(host, port)``, or ``(host, port, flow, scope)`` for IPv6."""

_LINK_LOCAL = ("fe8", "fe9", "fea", "feb")


def host_of(name: SocketAddress | None) -> str | None:
    """Returns the IP address of a socket address, with the interface of a link-local one; None for None."""
    if not name:
        return None
    host: str = name[0]
    return with_scope(host, name[3]) if len(name) > 3 and host[:3] in _LINK_LOCAL else host


def port_of(name: SocketAddress | None) -> int:
    """Returns the port of a socket address; 0 for None."""
    return int(name[1]) if name else 0


def with_scope(host: str, scope_id: int) -> str:
    """Returns the literal of an address with the name of its interface, or its index if the interface has gone."""
    if not scope_id:
        return host
    try:
        return f"{host}%{socket.if_indextoname(scope_id)}"
    except OSError:
        return f"{host}%{scope_id}"

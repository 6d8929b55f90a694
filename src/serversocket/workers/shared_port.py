"""The port of a `Supervisor`: one listening socket per worker, and none of other programs."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import SupportsIndex

from .. import errors
from ..loop.reactor import Reactor
from ..net.addresses import Host
from ..net.server import ServerSocket
from .process import close


@contextmanager
def whole() -> Iterator[ExitStack]:
    """Closes everything if not everything can be opened, and makes the error one of AIR's."""
    with ExitStack() as opened:
        try:
            yield opened
        except errors.IOError:
            raise
        except OSError as error:
            raise errors.invalid_socket("Supervisor", "", error) from None
        opened.pop_all()


def listen(
    opened: ExitStack, count: int, port: SupportsIndex, address: Host, dual_stack: bool, backlog: SupportsIndex
) -> tuple[list[int], str, int]:
    """Returns `count` descriptors that listen on one port, with its address and number.

    The first is bound without sharing the port, so a port of another program is refused; only then it shares its port.
    """
    with closing(Reactor()) as reactor:
        servers: list[ServerSocket] = []
        listeners: list[int] = []
        for _ in range(count):
            server = ServerSocket(reactor=reactor)
            server.bind(port, address, dual_stack=dual_stack, reuse_port=bool(servers))
            port = server.local_port
            servers.append(server)
            listener = os.dup(server.fileno())
            opened.callback(close, listener)
            listeners.append(listener)
            _share_port(listener)
        for server in servers:  # only now, so that no client finds a port that is then given up
            server.listen(backlog)
        return listeners, str(servers[0].local_address), servers[0].local_port


def _share_port(fd: int) -> None:
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM, fileno=fd)  # the real family does not matter here
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    finally:
        sock.detach()

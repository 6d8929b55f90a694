"""Descriptors of servers: created and bound, made to listen, or inherited.

The engine takes descriptors only. One rule of ownership holds wherever a descriptor is handed over: when the call
returns, the callee owns it; when the call raises, the caller still owns it, unchanged.
"""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from ..engine.endpoints import SocketAddress
from ..engine.unpatched import original
from .addresses import Address

__all__ = ["bind", "inspect", "listen", "private"]


# The low-level class. Python's own sets attributes after taking the descriptor, and closes it if memory runs out then.
_RawSocket: type[socket.socket] = original("_socket", "socket")


def bind(address: Address, port: int, *, dual_stack: bool, reuse_port: bool) -> tuple[int, SocketAddress]:
    """Makes a socket that is bound, non-blocking and not inheritable.

    Args:
        address: The local address.
        port: The local port; 0 for a free one.
        dual_stack: True to accept IPv4 connections on an IPv6 address too.
        reuse_port: True to share the port with other sockets that do the same.

    Returns:
        The descriptor, which the caller owns, and its local address.

    Raises:
        OSError: The system refuses.
    """
    with socket.socket(address.family, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        if reuse_port:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, True)
        if address.is_ipv6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not dual_stack)
            _bind_apart(sock, (address.host, port, 0, address.scope_id))
        else:
            _bind_apart(sock, (address.host, port))
        bound = sock.fileno(), sock.getsockname()
        sock.detach()  # last: a failure before it closes the descriptor
        return bound


def listen(descriptor: int, backlog: int, defer_accept: int, *, again: bool) -> None:
    """Makes a bound socket listen.

    Args:
        descriptor: The descriptor, which the caller owns; unchanged if this raises.
        backlog: How many clients may wait.
        defer_accept: Seconds for which the system holds back clients that send nothing; 0 turns it off.
        again: True if it already listens, and continues to if this fails.

    Raises:
        OSError: The system refuses.
    """
    sock = _borrowed(descriptor)
    try:
        _defer_accept(sock, defer_accept)
        _reuse_address(sock, True)
        try:
            sock.listen(backlog)
        except BaseException:
            if not again:
                _reuse_address(sock, False)
                _defer_accept(sock, 0)
            raise
    finally:
        sock.detach()


def inspect(descriptor: int) -> tuple[bool, SocketAddress]:
    """Checks an inherited descriptor, without changing it.

    Args:
        descriptor: The descriptor of a TCP socket.

    Returns:
        True if it listens, False if it is only bound; and its local address.

    Raises:
        OSError: It is not a TCP socket, is not bound, or is a connection.
    """
    sock = _borrowed(descriptor)
    try:
        internet = sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM
        if not internet or sock.proto not in (0, socket.IPPROTO_TCP):
            raise OSError(errno.EINVAL, f"descriptor {descriptor} is not a TCP socket")
        listening = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        if not listening and _is_connected(sock):
            raise OSError(errno.EISCONN, f"descriptor {descriptor} is a connection")
        name = sock.getsockname()
        if not name[1]:
            raise OSError(errno.EINVAL, f"descriptor {descriptor} is not bound")
        return listening, name
    finally:
        sock.detach()


@contextmanager
def private(descriptor: int) -> Iterator[None]:
    """Makes a descriptor non-blocking and not inheritable; restores it if the block raises."""
    blocking, inheritable = os.get_blocking(descriptor), os.get_inheritable(descriptor)
    try:
        os.set_blocking(descriptor, False)
        os.set_inheritable(descriptor, False)
        yield
    except BaseException:
        with suppress(OSError):  # it was closed meanwhile
            os.set_blocking(descriptor, blocking)
            os.set_inheritable(descriptor, inheritable)
        raise


def _borrowed(descriptor: int) -> socket.socket:
    """Returns a socket object for a descriptor that the caller still owns: detach it afterwards."""
    # Positional arguments: CPython 3.12 keeps the keywords of the first call in memory of the calling interpreter, and
    # crashes once that one has ended.
    return _RawSocket(-1, -1, -1, descriptor)


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True


def _defer_accept(sock: socket.socket, seconds: int) -> None:
    if sys.platform == "linux":
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, seconds)


def _reuse_address(sock: socket.socket, on: bool) -> None:
    if sys.platform != "win32":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, on)


def _bind_apart(sock: socket.socket, address: SocketAddress) -> None:
    """Binds, even to a port with connections in TIME_WAIT.

    SO_REUSEADDR allows binding to a port with connections in TIME_WAIT, but also allows two sockets to bind the same
    port as long as neither listens. So it is set only for the second try, and again while listening: accepted
    connections inherit it, so they do not block a later restart. On Windows, TIME_WAIT does not block a port, and the
    option has another meaning: there, the port is bound exclusively.
    """
    if sys.platform == "win32":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        sock.bind(address)
        return
    try:
        sock.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        _reuse_address(sock, True)
        try:
            sock.bind(address)
        finally:
            _reuse_address(sock, False)

"""Descriptors of servers: made and bound, made to listen, or taken over from somebody else.

The engine takes descriptors only. One rule holds wherever one is handed over: who hands it over has lost it when the
call returns, and keeps it, as it was, when the call raises.
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


# Python's own class sets attributes when it has the descriptor already: where memory runs out there, it closes it.
_RawSocket: type[socket.socket] = original("_socket", "socket")


def bind(address: Address, port: int, *, dual_stack: bool, reuse_port: bool) -> tuple[int, SocketAddress]:
    """Makes a socket that is bound, non-blocking and not inherited by other programs.

    Args:
        address: The local address.
        port: The local port; 0 for a free one.
        dual_stack: An IPv6 address takes IPv4 connections too.
        reuse_port: Share the port with others that do the same.

    Returns:
        The descriptor, which is the caller's, and its local address.

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
        sock.detach()  # last: whatever fails before closes it
        return bound


def listen(descriptor: int, backlog: int, defer_accept: int, *, again: bool) -> None:
    """Has a bound socket listen.

    Args:
        descriptor: The caller's; if this raises it is as it was.
        backlog: How many clients may wait.
        defer_accept: Seconds for which the system holds clients back that send nothing; 0 for not at all.
        again: It listens already, and goes on if this fails.

    Raises:
        OSError: The system refuses.
    """
    sock = _lent(descriptor)
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
    """Looks at an inherited descriptor, and leaves it as it was.

    Args:
        descriptor: The descriptor of a TCP socket.

    Returns:
        True if it listens, False if it is only bound; and its local address.

    Raises:
        OSError: It is no TCP socket, is not bound, or is a connection.
    """
    sock = _lent(descriptor)
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
    """Makes a descriptor non-blocking and not inherited by other programs; as it was if the block raises."""
    blocking, inheritable = os.get_blocking(descriptor), os.get_inheritable(descriptor)
    try:
        os.set_blocking(descriptor, False)
        os.set_inheritable(descriptor, False)
        yield
    except BaseException:
        with suppress(OSError):  # it is none any more
            os.set_blocking(descriptor, blocking)
            os.set_inheritable(descriptor, inheritable)
        raise


def _lent(descriptor: int) -> socket.socket:
    """Returns an object of the descriptor, which is still the caller's: detach it."""
    # By position: CPython 3.12 keeps the keywords of the first call in memory of the interpreter that called, and
    # crashes where that one has ended.
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
    """Binds, to a port in TIME_WAIT too.

    SO_REUSEADDR lets a port be bound that is only in TIME_WAIT, but also lets two sockets bind the same port as long as
    neither listens. So it is on only for the second try, and again while listening, where it is inherited by the
    connections that a later restart must not stumble over. Windows has TIME_WAIT out of the way, and means something
    else by the option: there, a port is asked for exclusively.
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

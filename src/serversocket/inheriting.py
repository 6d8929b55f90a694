"""What may be taken over as a server's socket: a descriptor that somebody else has bound."""

from __future__ import annotations

import errno
import socket

__all__ = ["prepare"]


def prepare(fd: int) -> bool:
    """Checks an inherited descriptor, and makes it non-blocking and close-on-exec.

    Args:
        fd: The descriptor of a TCP socket that is bound or listens. One that is refused is left as it was.

    Returns:
        Whether it listens.

    Raises:
        OSError: It is no TCP socket, is not bound, or is a connection.
    """
    sock = socket.socket(fileno=fd)
    try:
        internet = sock.family in (socket.AF_INET, socket.AF_INET6) and sock.type == socket.SOCK_STREAM
        if not internet or sock.proto not in (0, socket.IPPROTO_TCP):
            raise OSError(errno.EINVAL, f"descriptor {fd} is not a TCP socket")
        listening = bool(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
        if not listening and _is_connected(sock):
            raise OSError(errno.EISCONN, f"descriptor {fd} is a connection")
        if not sock.getsockname()[1]:
            raise OSError(errno.EINVAL, f"descriptor {fd} is not bound")
        sock.setblocking(False)
        sock.set_inheritable(False)
        return listening
    finally:
        sock.detach()


def _is_connected(sock: socket.socket) -> bool:
    try:
        sock.getpeername()
    except OSError:
        return False
    return True

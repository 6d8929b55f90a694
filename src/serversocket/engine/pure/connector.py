"""A connect that is under way."""

from __future__ import annotations

import errno
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from ..endpoints import SocketAddress
from .output import reset
from .poller import WRITE
from .reactor import Reactor
from .source import Source

IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR)
IP_BIND_ADDRESS_NO_PORT = 24  # of Linux; Python has no name for it yet


class Connector(Source):
    """A connect that is under way.

    Args:
        reactor: The `Reactor` that watches it.
        family: ``AF_INET`` or ``AF_INET6``.
        address: Where to connect to: ``(host, port)`` or ``(host, port, flow, scope)``.
        callback: Called with the connector when the connect has succeeded or failed, as `errno` tells.
        local: The address to connect from, in the same form; ``None`` lets the system choose.
    """

    errno = 0

    def __init__(
        self,
        reactor: Reactor,
        family: int,
        address: SocketAddress,
        callback: Callable[[Connector], object],
        local: SocketAddress | None = None,
    ) -> None:
        self._attach(reactor)
        self._family_ = family
        self._address_ = address
        self._local_end_ = local
        self._callback_: Callable[[Connector], object] | None = callback

    def start(self) -> None:
        """Starts the connect; the callback is called by the reactor, never from here."""
        reactor = self._owner_()
        try:
            sock = socket.socket(self._family_, socket.SOCK_STREAM)
        except OSError as error:
            self.errno = error.errno or errno.EIO
        else:
            slot = self._own_or_close_(reactor, sock)
            slot.owner = self
            try:
                sock.setblocking(False)
                if self._local_end_ is not None:
                    _bind_local(sock, self._local_end_)
                code = sock.connect_ex(self._address_)
                if code in IN_PROGRESS:
                    reactor._poller_.watch(slot, WRITE)
                    return
                self.errno = code
            except OSError as error:
                self.errno = error.errno or errno.EIO
        reactor._postpone_(self._attend_)

    def cancel(self) -> None:
        """Ends the connect; the callback is not called any more."""
        self._callback_ = None
        self._shut_()

    def _ready_(self, events: int) -> None:
        if self._socket_ is not None:
            try:
                self.errno = self._socket_.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            except OSError as error:
                self.errno = error.errno or errno.EIO
            self._attend_()

    def _attend_(self) -> None:
        callback, self._callback_ = self._callback_, None
        sock = self._socket_
        if not self.errno and sock is not None and _met_itself(sock):
            self.errno = errno.ECONNREFUSED
            reset(sock)  # its port is free again at once
        if self.errno:
            self._shut_()
        if callback is not None:
            callback(self)


def _bind_local(sock: socket.socket, address: SocketAddress) -> None:
    """Binds this end of the connection."""
    if address[1]:
        # The port may be in TIME_WAIT, or connected to another peer.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    elif sys.platform == "linux":
        # connect() chooses the port then, and connections to different peers may have the same one.
        with suppress(OSError):
            sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
    sock.bind(address)


def _met_itself(sock: socket.socket) -> bool:
    """Returns True if both ends are this socket: no server listened, and the system chose the same port here."""
    try:
        return bool(sock.getsockname()[:2] == sock.getpeername()[:2])
    except OSError:  # the peer has left already
        return False

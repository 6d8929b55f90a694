# `Connector`: a connect to one address.

cdef enum:
    IP_BIND_ADDRESS_NO_PORT = 24    # in Linux since 4.2, in glibc's headers later


@cython.no_gc_clear
@cython.auto_pickle(False)
cdef class Connector(Source):
    """A connect that is under way.

    Args:
        reactor: The `Reactor` that watches it.
        family: ``AF_INET`` or ``AF_INET6``.
        address: Where to connect to: ``(host, port)`` or ``(host, port, flow, scope)``.
        callback: Called with the connector when the connect has succeeded or failed, as `errno` tells.
        local: The address to connect from, in the same form; ``None`` lets the system choose.
    """

    cdef Address address
    cdef Address local
    cdef system.socklen_t address_length
    cdef system.socklen_t local_length  # 0: the system chooses
    cdef object callback
    cdef int code

    def __init__(self, Reactor reactor not None, int family, tuple address not None, callback, tuple local=None):
        self._attach(reactor)
        self.callback = callback
        self.address_length = fill_from(&self.address, family, address)
        if local is not None:
            self.local_length = fill_from(&self.local, family, local)

    @property
    def errno(self):
        """Why the connect failed, an errno; 0 if it succeeded."""
        return self.code

    def start(self):
        """Starts the connect; the callback is called by the reactor, never from here."""
        cdef int fd
        self._check()
        fd = system.socket(
            self.address.head.sa_family, system.SOCK_STREAM | system.SOCK_NONBLOCK | system.SOCK_CLOEXEC, 0
        )
        if fd < 0:
            self.code = system.errno
            self._reactor._postpone(self)
            return
        self.quiet = True
        self._own_or_close(fd)
        self._hold(True)
        if self.local_length:
            self.code = _bind_local(fd, &self.local, self.local_length)
        if self.code:
            self._reactor._postpone(self)
        elif system.connect(fd, &self.address.head, self.address_length) == 0:
            self._reactor._postpone(self)
        elif system.errno == system.EINPROGRESS:
            try:
                self._reactor.poller.watch(self, system.EPOLLOUT)
            except OSError as error:
                self.code = error.errno
                self._reactor._postpone(self)
        else:
            self.code = system.errno
            self._reactor._postpone(self)

    def cancel(self):
        """Ends the connect; the callback is not called any more."""
        self.callback = None
        self._shut()

    cdef int _ready(self, uint32_t events) except -1:
        cdef system.socklen_t length = sizeof(self.code)
        if system.getsockopt(self.fd, system.SOL_SOCKET, system.SO_ERROR, &self.code, &length) < 0:
            self.code = system.errno
        return self._attend()

    @cython.final
    cdef bint _met_itself(self) noexcept:
        """Returns True if both ends are this socket: no server listened, and the system chose the same port here."""
        cdef Address local, peer
        cdef system.socklen_t local_length = sizeof(Address), peer_length = sizeof(Address)
        return (
            self.fd >= 0
            and system.getsockname(self.fd, &local.head, &local_length) == 0
            and port_of(&local) == port_of(&self.address)
            and system.getpeername(self.fd, &peer.head, &peer_length) == 0
            and same_endpoint(&local, &peer)
        )

    cdef int _attend(self) except -1:
        callback = self.callback
        self.callback = None
        if self.code == 0 and self._met_itself():
            self.code = system.ECONNREFUSED
            reset_when_closed(self.fd, True)      # its port is free again at once
        if self.code:
            self._shut()
        if callback is not None:
            callback(self)
        return 0


cdef int _bind_local(int fd, Address *address, system.socklen_t length) noexcept:
    """Binds this end of the connection; returns 0 or an errno."""
    cdef int on = 1
    if port_of(address):
        # The port may be in TIME_WAIT, or connected to another peer.
        system.setsockopt(fd, system.SOL_SOCKET, system.SO_REUSEADDR, &on, sizeof(on))
    else:
        # connect() chooses the port then, and connections to different peers may have the same one.
        system.setsockopt(fd, system.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on))
    return 0 if system.bind(fd, &address.head, length) == 0 else system.errno

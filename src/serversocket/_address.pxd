"""Socket addresses, as the other native modules see them."""

from libc.stdint cimport uint32_t

from . cimport _system as system


cdef union Address:
    system.sockaddr head
    system.sockaddr_in v4
    system.sockaddr_in6 v6


cdef system.socklen_t fill(Address *address, int family, str host, int port, uint32_t scope_id) except 0
cdef object host_of(const Address *address)
cdef int port_of(const Address *address) noexcept

# Socket addresses, as the system has them and as text.

cdef union Address:
    system.sockaddr head
    system.sockaddr_in v4
    system.sockaddr_in6 v6


cdef system.socklen_t fill(Address *address, int family, str host, int port, uint32_t scope_id) except 0:
    cdef bytes text = host.encode("ascii")
    cdef int good
    system.memset(address, 0, sizeof(Address))
    address.head.sa_family = family
    if family == system.AF_INET:
        address.v4.sin_port = system.htons(port)
        good = system.inet_pton(family, PyBytes_AS_STRING(text), &address.v4.sin_addr)
    else:
        address.v6.sin6_port = system.htons(port)
        address.v6.sin6_scope_id = scope_id
        good = system.inet_pton(family, PyBytes_AS_STRING(text), &address.v6.sin6_addr)
    if good != 1:
        raise_errno(system.EINVAL)
    return sizeof(system.sockaddr_in) if family == system.AF_INET else sizeof(system.sockaddr_in6)


cdef system.socklen_t fill_from(Address *address, int family, tuple name) except 0:
    """As `fill`, from ``(host, port)`` or ``(host, port, flow, scope)``."""
    return fill(address, family, name[0], name[1], name[3] if len(name) > 3 else 0)


cdef object host_of(const Address *address):
    cdef char text[system.INET6_ADDRSTRLEN]
    cdef char name[system.IF_NAMESIZE]
    cdef str host
    if address.head.sa_family == system.AF_INET:
        system.inet_ntop(system.AF_INET, &address.v4.sin_addr, text, sizeof(text))
        return (<bytes> text).decode("ascii")
    if address.head.sa_family != system.AF_INET6:
        return None
    system.inet_ntop(system.AF_INET6, &address.v6.sin6_addr, text, sizeof(text))
    host = (<bytes> text).decode("ascii")
    if address.v6.sin6_scope_id and system.IN6_IS_ADDR_LINKLOCAL(&address.v6.sin6_addr):
        if system.if_indextoname(address.v6.sin6_scope_id, name) == NULL:
            return f"{host}%{address.v6.sin6_scope_id}"
        return f"{host}%{os.fsdecode(<bytes> name)}"
    return host


cdef bint same_endpoint(const Address *one, const Address *other) noexcept:
    if one.head.sa_family != other.head.sa_family or port_of(one) != port_of(other):
        return False
    if one.head.sa_family == system.AF_INET:
        return one.v4.sin_addr.s_addr == other.v4.sin_addr.s_addr
    return system.memcmp(&one.v6.sin6_addr, &other.v6.sin6_addr, sizeof(system.in6_addr)) == 0


cdef int port_of(const Address *address) noexcept:
    # The port stands at the same place for both families.
    return system.ntohs(address.v4.sin_port) if address.head.sa_family else 0

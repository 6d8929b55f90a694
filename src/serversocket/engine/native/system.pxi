# Shared by all parts: results of system calls and of C's own calls into Python, descriptors, the clock, and socket
# addresses, as the system has them and as text.

cdef extern from "Python.h":
    """
    #include <pthread.h>
    #define this_thread() ((uintptr_t) pthread_self())
    #define pending_error() (-1)
    """
    uintptr_t this_thread() nogil
    int pending_error() except -1       # raises the exception that a raw call has set
    Py_ssize_t PyNumber_AsSsize_t(object value, PyObject *overflow) except? -1


ctypedef uint8_t flag           # a truth value in one byte; a `bint` is an int, and every connection has ten


cdef inline int raise_errno(int code) except -1:
    system.errno = code
    PyErr_SetFromErrno(OSError)
    return -1


cdef inline int checked(int result) except -1:
    """Returns the result of a system call, or raises its OSError."""
    if result < 0:
        PyErr_SetFromErrno(OSError)
    return result


cdef inline int open_spare() noexcept:
    """Opens a descriptor whose only use is to be closed when descriptors run out."""
    return system.open(b"/dev/null", system.O_RDONLY | system.O_CLOEXEC)


cdef inline void reset_when_closed(int fd, bint on) noexcept:
    """Makes the close that follows reset the connection, or end it as usual again."""
    cdef system.linger setting
    setting.l_onoff = on
    setting.l_linger = 0
    system.setsockopt(fd, system.SOL_SOCKET, system.SO_LINGER, &setting, sizeof(setting))


cdef void close_descriptor(int *fd) noexcept:
    if fd[0] >= 0:
        system.close(fd[0])
        fd[0] = -1


cdef inline double now() noexcept nogil:
    cdef system.timespec clock
    system.clock_gettime(system.CLOCK_MONOTONIC, &clock)
    return clock.tv_sec + clock.tv_nsec * 1e-9


cdef inline uint32_t moment_of(double seconds) noexcept:
    return <uint32_t> <uint64_t> (seconds * 1e3)


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
    # The port is at the same place in both families.
    return system.ntohs(address.v4.sin_port) if address.head.sa_family else 0

"""Connections and their addresses, as the acceptor sees them."""

cimport cython
from libc.stdint cimport int64_t, uint32_t

from . cimport _system as system
from ._reactor cimport Source


cdef union Address:
    system.sockaddr head
    system.sockaddr_in v4
    system.sockaddr_in6 v6


cdef system.socklen_t fill(Address *address, int family, str host, int port, uint32_t scope_id) except 0
cdef object host_of(const Address *address)
cdef int port_of(const Address *address) noexcept


cdef enum StreamState:
    CLOSED = 0              # fresh, or closed by the program
    CONNECTING = 1
    CONNECTED = 2
    FINISHED = 3            # the peer is gone; unread input and its address remain


cdef class Stream(Source):
    cdef StreamState state
    cdef Address peer
    cdef Address local      # once FINISHED; until then the descriptor is asked
    cdef object attempt     # what is connecting; has cancel()
    cdef bint no_delay
    cdef int failure        # the errno of a failed send

    # Input: what has not been read yet.
    cdef char *data
    cdef Py_ssize_t size
    cdef char *store        # memory of its own; NULL while `data` lies in the reactor's buffer
    cdef Py_ssize_t capacity

    # Output: what has not been sent yet.
    cdef object head
    cdef Py_ssize_t offset  # how much of `head` is sent
    cdef list more
    cdef Py_ssize_t pending
    cdef int64_t written
    cdef bint serving       # its own listener runs: output is sent when that returns
    cdef bint blocked       # the system takes no more: wait for EPOLLOUT
    cdef bint progressed    # an outputProgress event is due

    cdef bint _local(self, Address *address) noexcept
    cdef int _apply_no_delay(self) except -1
    @cython.final
    cdef int _require(self, StreamState least, str call) except -1
    cdef int _settle(self) except -1

    @cython.final
    cdef int _exactly(self, Py_ssize_t size, str call) except -1
    @cython.final
    cdef Py_ssize_t _amount(self, size) except -1
    @cython.final
    cdef bytes _take(self, Py_ssize_t size)
    @cython.final
    cdef void _advance(self, Py_ssize_t count) noexcept
    @cython.final
    cdef void _drop_input(self) noexcept
    @cython.final
    cdef int _keep_input(self, const char *data, Py_ssize_t size) except -1
    @cython.final
    cdef int _arrived(self, char *data, Py_ssize_t count) except -1

    @cython.final
    cdef bytes _as_bytes(self, data)
    @cython.final
    cdef int _queue(self, bytes chunk, Py_ssize_t count) except -1
    @cython.final
    cdef int _transmit(self) except -1
    @cython.final
    cdef Py_ssize_t _send_some(self, ssize_t *sent) except -1
    @cython.final
    cdef int _sent(self, Py_ssize_t count) except -1
    @cython.final
    cdef int _drop_output(self) except -1
    cdef int _after_sending(self) except -1
    cdef int _tell_progress(self) except -1

    @cython.final
    cdef int _served(self) except -1
    @cython.final
    cdef int _receive(self, int ending) except -1
    cdef int _finish(self, int failure, str call) except -1
    cdef int _fail(self, int failure) except -1
    cdef int _linger(self, bint ended=*) except -1
    cdef bint _input_waits(self) noexcept
    cdef void _reset(self) noexcept


cdef class Lingerer(Stream):
    cdef bint ended         # the peer's output is at its end

    cdef int _waste(self) except -1


cdef class Connector(Source):
    cdef Address address
    cdef system.socklen_t address_length
    cdef object callback
    cdef int code

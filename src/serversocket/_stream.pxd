"""Connections, as the acceptor sees them."""

cimport cython

from ._address cimport Address
from ._output cimport Output
from ._reactor cimport flag


cdef class Stream(Output):
    cdef Address peer
    cdef Address local      # once FINISHED; until then the descriptor is asked
    cdef object attempt     # what is connecting; has cancel()
    cdef flag no_delay
    cdef flag half_open     # the peer's end of output is not the end of the connection

    cdef bint _local(self, Address *address) noexcept
    cdef int _apply_no_delay(self) except -1
    cdef str _culprit(self, int failure)

    @cython.final
    cdef bint _first_read(self) except -1
    @cython.final
    cdef int _receive(self, int ending) except -1
    @cython.final
    cdef bint _receive_lent(self, int ending) except -1
    @cython.final
    cdef bint _received(self, char *memory, ssize_t count, Py_ssize_t room, int ending) except -1
    @cython.final
    cdef int _arrived(self, char *data, Py_ssize_t count) except -1
    @cython.final
    cdef int _keep_input(self) except -1
    @cython.final
    cdef int _input_ends(self, int failure) except -1
    @cython.final
    cdef int _hung_up(self) except -1
    cdef int _finish(self, int failure, str call) except -1
    cdef int _end(self) except -1
    cdef int _linger(self, bint ended=*) except -1
    cdef void _abandon(self) noexcept
    cdef bint _would_lose(self) noexcept

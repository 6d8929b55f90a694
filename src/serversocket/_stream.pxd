"""Connections, as the acceptor sees them."""

cimport cython
from libc.stdint cimport int64_t, uint32_t

from ._address cimport Address
from ._input cimport Input


cdef class Stream(Input):
    cdef Address peer
    cdef Address local      # once FINISHED; until then the descriptor is asked
    cdef object attempt     # what is connecting; has cancel()
    cdef bint no_delay
    cdef int failure        # the errno of a failed send
    cdef bint torn          # input was lost: what comes after it is not read

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
    cdef int _settle(self) except -1

    @cython.final
    cdef bytes _as_bytes(self, data)
    @cython.final
    cdef int _queue(self, bytes chunk, Py_ssize_t count) except -1
    @cython.final
    cdef int _transmit(self) except -1
    @cython.final
    cdef ssize_t _send_some(self, Py_ssize_t *offered) except -2
    @cython.final
    cdef ssize_t _send_several(self, Py_ssize_t *offered) except -2
    @cython.final
    cdef int _take_off(self, Py_ssize_t count) except -1
    @cython.final
    cdef int _drop_output(self) except -1
    cdef int _after_sending(self) except -1
    cdef int _tell_progress(self) except -1

    @cython.final
    cdef int _served(self) except -1
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
    cdef int _finish(self, int failure, str call) except -1
    cdef int _fail(self, int failure) except -1
    cdef object _write(self, data)
    cdef int _end(self) except -1
    cdef int _linger(self, bint ended=*) except -1
    cdef bint _input_waits(self) noexcept
    cdef void _reset(self) noexcept


cdef class Lingerer(Stream):
    cdef bint ended         # the peer's output is at its end

    cdef int _waste(self) except -1

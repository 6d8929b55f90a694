"""The output of a connection, as the other native modules see it."""

cimport cython
from libc.stdint cimport int64_t, uint32_t

from ._input cimport Input
from ._reactor cimport flag


cdef class Output(Input):
    cdef object head
    cdef Py_ssize_t offset  # how much of `head` is sent
    cdef list more
    cdef Py_ssize_t pending
    cdef int64_t written
    cdef Py_ssize_t leeway  # buffer_limit, as its difference from the usual one: nothing has to be set where it is 0
    cdef uint32_t moment    # when something was last received or fetched, as the reactor's clock had it
    cdef uint32_t longest   # milliseconds that it may be idle; 0: for ever
    cdef uint32_t fetched   # how much of `written` the peer had got when that was last looked at, modulo 2 ** 32
    cdef int failure        # why it is to be broken in the last step of the turn: an errno
    cdef flag outgoing      # the Half that the program writes
    cdef flag serving       # its own listener runs: output is sent when that returns
    cdef flag blocked       # the system takes no more: wait for EPOLLOUT
    cdef flag progressed    # an outputProgress event is due
    cdef flag resting       # the program wants no input for now

    @cython.final
    cdef object _write(self, data)
    @cython.final
    cdef bytes _as_bytes(self, data)
    @cython.final
    cdef int _require_output(self, str call) except -1
    @cython.final
    cdef int _end_output(self) except -1
    @cython.final
    cdef int _queue(self, bytes chunk, Py_ssize_t count) except -1
    @cython.final
    cdef int _make_room(self, Py_ssize_t count) except -1
    @cython.final
    cdef int _crowded(self) except -1
    @cython.final
    cdef int _transmit(self) except -1
    @cython.final
    cdef ssize_t _send_some(self, Py_ssize_t *offered) except -2
    @cython.final
    cdef ssize_t _send_several(self, Py_ssize_t *offered) except -2
    @cython.final
    cdef uint32_t _got(self) noexcept
    @cython.final
    cdef int _unfetched(self) noexcept
    @cython.final
    cdef void _empty_error_queue(self) noexcept
    @cython.final
    cdef int _take_off(self, Py_ssize_t count) except -1
    @cython.final
    cdef int _drop_output(self) except -1
    @cython.final
    cdef int _after_sending(self) except -1
    @cython.final
    cdef int _tell_progress(self) except -1
    @cython.final
    cdef int _served(self) except -1
    cdef int _settle(self) except -1
    @cython.final
    cdef int _fail(self, int failure) except -1
    @cython.final
    cdef void _reset(self) noexcept

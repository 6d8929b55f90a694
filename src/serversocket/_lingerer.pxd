"""What outlives a connection, as the other native modules see it."""

cimport cython

from ._output cimport Output


cdef class Lingerer(Output):
    cdef object timer       # ends it
    cdef Py_ssize_t unsent  # when the timer was set
    cdef bint ended         # the peer's output is at its end
    cdef bint told          # that nothing more comes

    @cython.final
    cdef int _waste(self) except -1
    @cython.final
    cdef int _time(self, double seconds) except -1

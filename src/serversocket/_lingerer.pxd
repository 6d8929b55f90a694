"""What outlives a connection, as the other native modules see it."""

cimport cython
from libc.stdint cimport int64_t

from ._output cimport Output


cdef class Lingerer(Output):
    cdef object timer       # looks whether the peer still fetches
    cdef int64_t left       # for the peer to fetch, when the timer was set
    cdef double stalled     # seconds in which it has fetched nothing
    cdef double age         # seconds
    cdef bint ended         # the peer's output is at its end
    cdef bint told          # that nothing more comes

    @cython.final
    cdef int _waste(self) except -1
    @cython.final
    cdef int _time(self) except -1

"""The input of a connection, as the other native modules see it."""

cimport cython

from ._reactor cimport Source, flag


cdef enum State:
    CLOSED = 0              # fresh, or closed by the program
    CONNECTING = 1
    CONNECTED = 2
    FINISHED = 3            # the peer is gone; unread input and its address remain


cdef enum Half:             # of a connection: one of its two directions
    OPEN = 0
    ENDING = 1              # output that is still pending is the last
    ENDED = 2               # nothing more comes


cdef class Input(Source):
    cdef State state
    cdef flag torn          # input was lost: what comes after it is not read
    cdef flag incoming      # the Half that the peer writes, where the connection goes on without it
    cdef char *data         # what has not been read yet
    cdef Py_ssize_t size
    cdef bytes store        # memory of its own, in which `data` lies; None while it lies where it was received
    cdef object lent        # read_buffer

    @cython.final
    cdef int _require(self, State least, str call) except -1
    @cython.final
    cdef int _exactly(self, Py_ssize_t size, str call) except -1
    @cython.final
    cdef Py_ssize_t _amount(self, size) except -1
    @cython.final
    cdef bytes _take(self, Py_ssize_t size)
    @cython.final
    cdef bytes _whole(self)
    @cython.final
    cdef int _copy(self, char *target, Py_ssize_t count) except -1
    @cython.final
    cdef object _shown(self, Py_ssize_t size)
    @cython.final
    cdef Py_ssize_t _offset_in_lent(self) except -2
    @cython.final
    cdef void _advance(self, Py_ssize_t count) noexcept
    cdef void _drop_input(self) noexcept
    cdef bint _append_input(self, const char *data, Py_ssize_t size) except -1
    cdef void _compact(self) noexcept
    cdef bint _move_input(self, Py_ssize_t capacity) noexcept
    cdef Py_ssize_t _extend_store(self, Py_ssize_t capacity) except -1
    cdef int _input_lost(self) except -1


cdef int open_buffer(str parameter, buffer, Py_buffer *view, str expected=*) except -1

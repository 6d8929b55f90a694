"""The reactor and what it watches, as the other native modules see them."""

cimport cython
from cpython.exc cimport PyErr_SetFromErrno
from cpython.object cimport PyObject
from libc.stdint cimport uint8_t, uint32_t, uintptr_t

from . cimport _system as system
from ._dispatch cimport EventDispatcher


cdef extern from "Python.h":
    """
    #include <pthread.h>
    #define this_thread() ((uintptr_t) pthread_self())
    """
    uintptr_t this_thread() nogil
    Py_ssize_t Py_REFCNT(PyObject *)    # also of what is being deallocated, which Cython must not count itself


cdef enum:
    READ_SIZE = 65536           # a larger buffer would cost an mmap each time it is allocated
    NO_SLOT = 0xFFFFFFFF        # not enrolled; in an epoll tag: a descriptor that only wakes


ctypedef uint8_t flag           # a truth; a `bint` is an int, and every connection has ten


cdef struct Slot:
    PyObject *source            # borrowed; NULL where the slot is free
    uint32_t generation         # raised when the slot is freed: by it, readiness of an earlier owner is known
    uint32_t freed              # the turn in which that was


cdef class Reactor(EventDispatcher):
    cdef int epoll
    cdef int wakeup             # an eventfd: calls from other threads, work left for a host
    cdef int alarm              # a timerfd, once a host polls `fileno()`
    cdef int spare              # given up for a moment to tell waiting clients when descriptors run out
    cdef uintptr_t thread   # whose it is; 0, nobody's, in a forked child
    cdef str thread_name
    cdef list wakeups           # descriptors that only wake

    # Who is watched. A slot's index is the number of the descriptor.
    cdef Slot *slots
    cdef uint32_t slot_count
    cdef list owners            # by slot: the source where it is held strongly, else None
    cdef Py_ssize_t watched     # sources registered with epoll
    cdef Py_ssize_t retained    # what is open without a descriptor

    # What a turn works with.
    cdef uint32_t turns         # how many there were, modulo 2 ** 32
    cdef bytes buffer           # where input is received; it may be lent, so nobody writes there but after `landing`
    cdef int wary               # so many large reads are given memory for good: what was lent did not come back
    cdef system.epoll_event *ready
    cdef int found              # how many of `ready` the last wait has filled
    cdef int served             # how many of them had their turn; an interrupt leaves the others to the next turn
    cdef list dirty             # sources with output that nobody has tried to send yet
    cdef list postponed         # sources to attend to in the last step of the turn
    cdef double deadline

    # What is kept for programs, by all connections: unread input and unsent output.
    cdef Py_ssize_t kept
    cdef Py_ssize_t limit       # of it
    cdef object finished        # sources by id, weakly, that have no slot any more but input to be read
    cdef bint tracking          # some connection may not be idle for long: `moment` is kept up to date
    cdef uint32_t moment        # milliseconds of the monotonic clock when this turn began, modulo 2 ** 32

    cdef bint in_turn
    cdef bint in_run
    cdef bint stopping
    cdef bint woken
    cdef bint dead              # in a forked child

    cdef void _close_descriptors(self) noexcept
    cdef char *landing(self) except NULL
    cdef int _check_owner(self) except -1
    cdef bint _serves(self) noexcept
    cdef int _refuse(self) except -1
    cdef int _check_open(self) except -1
    cdef int _enroll(self, Source source, uint32_t fd) except -1
    cdef void _disown(self, PyObject *dying) noexcept
    cdef void _vacate(self, uint32_t index) noexcept
    cdef int _grow(self, uint32_t least) except -1
    cdef bint _alive(self, uint32_t slot) noexcept
    cdef int _watch(self, Source source, uint32_t interest) except -1
    cdef bint _withdraw(self, Source source) noexcept
    cdef void _rouse(self) noexcept
    cdef int _refuse_nesting(self) except -1
    cdef bint _anything_left(self) except -1
    cdef int _show_work(self) except -1
    cdef int _postpone(self, Source source) except -1
    cdef int _rebuild(self) except -1
    cdef Py_ssize_t _turn(self, double timeout) except -1
    cdef int _wait(self, double timeout) except -1
    cdef void _found(self, int count) noexcept
    cdef int _drain(self, int fd) except -1
    cdef int _send_dirty(self) except -1
    cdef Py_ssize_t _run_postponed(self) except -1
    cdef int _relieve(self, Source asking, Py_ssize_t more) except -1
    cdef Source _fullest(self)
    cdef int _track_idle(self) except -1


@cython.final
cdef class Tally:
    """How many connections of one server are open."""
    cdef Py_ssize_t open


cdef class Source(EventDispatcher):
    cdef Reactor _reactor
    cdef Tally tally            # where this connection is counted while it is open
    cdef int fd
    cdef uint32_t slot
    cdef uint32_t interest
    cdef flag watched
    cdef flag dirty             # in the reactor's list of those with output to send
    cdef flag quiet             # collected by design: no ResourceWarning

    cdef bint _reactor_is_dead(self) noexcept
    cdef int _own(self, int fd) except -1
    cdef void _shut(self) noexcept
    cdef void _abandon(self) noexcept
    cdef int _lost(self) except -1
    cdef void _uncount(self) noexcept
    cdef void _hold(self, bint strongly) noexcept
    cdef int _ready(self, uint32_t events) except -1
    cdef int _attend(self) except -1
    cdef int _send_output(self) except -1
    cdef int _discard(self) except -1
    cdef Py_ssize_t _kept(self) noexcept
    cdef int _overrun(self) except -1
    cdef bint _idle_too_long(self, uint32_t moment) except -1


cdef inline int raise_errno(int code) except -1:
    system.errno = code
    PyErr_SetFromErrno(OSError)
    return -1


cdef inline int checked(int result) except -1:
    """The result of a system call, or its OSError."""
    if result < 0:
        PyErr_SetFromErrno(OSError)
    return result


cdef inline int open_spare() noexcept:
    """A descriptor of no use but to be given up."""
    return system.open(b"/dev/null", system.O_RDONLY | system.O_CLOEXEC)

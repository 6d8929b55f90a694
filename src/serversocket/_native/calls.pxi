# What all parts share: results of system calls and of C's own calls into Python, descriptors, the clock.

cdef extern from "Python.h":
    """
    #include <pthread.h>
    #define this_thread() ((uintptr_t) pthread_self())
    #define pending_error() (-1)
    """
    uintptr_t this_thread() nogil
    int pending_error() except -1       # raises the exception that a raw call has set
    Py_ssize_t Py_REFCNT(PyObject *)    # also of what is being deallocated, which Cython must not count itself
    Py_ssize_t PyNumber_AsSsize_t(object value, PyObject *overflow) except? -1
    PyObject *ITEM "PyTuple_GET_ITEM" (PyObject *items, Py_ssize_t index)   # for none of the two a reference is counted


ctypedef uint8_t flag           # a truth; a `bint` is an int, and every connection has ten


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

# `Source`: the owner of one descriptor.

cdef extern from "Python.h":
    int PyErr_ResourceWarning(PyObject *source, Py_ssize_t level, const char *format, ...)


@cython.final
@cython.auto_pickle(False)
cdef class Tally:
    """How many connections of one server are open."""

    cdef Py_ssize_t open


cdef Py_ssize_t DEFAULT_LIMIT = CONNECTION_LIMIT


@cython.final
@cython.no_gc_clear         # a connection that is deallocated still asks its filter's `Wire`
@cython.auto_pickle(False)
cdef class Extras:
    """State that few connections need, made when the first part of it is set: the others pay one pointer."""

    cdef list followers     # told by `closed_here()` when it is closed at this end; None without any
    cdef Py_ssize_t limit   # buffer_limit
    cdef uint32_t longest   # milliseconds that it may be idle; 0: for ever
    cdef uint32_t fetched   # how much was acknowledged when last checked, modulo 2 ** 32
    cdef Wire wire          # the state of its filter; None without one

    def __cinit__(self):
        self.limit = DEFAULT_LIMIT


# Of these and what inherits from them, the garbage collector clears the listeners only (see fast_methods): descriptors
# are closed last, and that needs the reactor. Other cycles are broken in the lists and dictionaries that they lead
# through.

@cython.no_gc_clear
@cython.auto_pickle(False)
cdef class Source(EventDispatcher):
    """Owns one descriptor of a reactor."""

    cdef Reactor _reactor
    cdef Tally tally            # counts this connection while it is open
    cdef Extras extras          # None for most
    cdef int fd
    cdef uint32_t slot
    cdef uint32_t interest
    cdef flag watched
    cdef flag dirty             # in the reactor's list of those with output to send
    cdef flag quiet             # collected by design: no ResourceWarning
    cdef flag postponed         # in the reactor's list of those to attend to
    cdef flag filtered          # it has a filter: `extras.wire`
    cdef flag dying             # its deallocation has begun, and may run Python code

    def __cinit__(self):
        self.fd = -1
        self.slot = NO_SLOT

    def __dealloc__(self):
        cdef int fd = self.fd
        cdef Py_ssize_t kept
        self.dying = True
        if fd >= 0:
            forget_weak_references(<PyObject *> self)
            self._abandon()     # first: the warning may run any code
        kept = self._kept()
        if kept and self._reactor is not None:
            self._reactor.kept -= kept
        if fd >= 0 and not self.quiet and PyErr_ResourceWarning(
            NULL, 1, "a socket was collected while it was open: descriptor %d", fd
        ) < 0:
            PyErr_WriteUnraisable(None)

    @property
    def reactor(self):
        """The `Reactor` that this object belongs to."""
        return self._reactor

    def _attach(self, reactor):
        if not isinstance(reactor, Reactor):
            raise errors.wrong_type("reactor", reactor, "a Reactor")
        (<Reactor> reactor)._check_open()
        if self._reactor is not None:
            raise RuntimeError(f"{type(self).__name__}.__init__() was called twice")
        self._reactor = <Reactor> reactor

    def _check_thread(self):
        self._check()

    def _follow(self, follower):
        """Calls `follower.closed_here()` when this is closed at this end. That must not run code of the program."""
        cdef Extras extras = self._with_extras()
        if extras.followers is None:
            extras.followers = []
        extras.followers.append(follower)

    @cython.final
    cdef Extras _with_extras(self):
        if self.extras is None:
            self.extras = Extras()
        return self.extras

    def _unfollow(self, follower):
        cdef list followers = None if self.extras is None else self.extras.followers
        if followers is not None and follower in followers:
            followers.remove(follower)

    @cython.final
    cdef int _close_here(self) except -1:
        """Closes without events, and tells the coroutines that wait for events."""
        self._discard()
        if self.extras is not None:
            for follower in list(self.extras.followers or ()):
                follower.closed_here()
        return 0

    cdef int _check(self) except -1:
        if self._reactor is None:
            raise RuntimeError(f"{type(self).__name__}.__init__() was not called")
        return self._reactor._check_owner()

    @cython.final
    cdef bint _reactor_is_dead(self) noexcept:
        """Returns True if this is a forked child's copy: it can be closed, and nothing else."""
        return self._reactor is not None and self._reactor.dead

    @cython.final
    cdef int _own(self, int fd) except -1:
        """Takes a descriptor over; if this raises, the caller still owns it."""
        if self.fd >= 0:
            raise RuntimeError("there is a descriptor already")
        self._reactor.poller.enroll(self, fd)
        self.fd = fd
        return 0

    @cython.final
    cdef int _own_or_close(self, int fd) except -1:
        """As `_own`, but closes the descriptor if this raises."""
        try:
            return self._own(fd)
        except BaseException:
            system.close(fd)
            raise

    @cython.final
    cdef int _let_go(self) noexcept:
        """Takes the descriptor out of epoll, gives it up and returns it; the number may have another owner by now."""
        cdef int fd = self.fd
        self._hold(False)
        self._reactor._withdraw(self)
        self.fd = -1
        return fd

    @cython.final
    cdef void _shut(self) noexcept:
        """Takes the descriptor out of epoll and closes it."""
        cdef int fd = self.fd
        if fd < 0:
            return
        self._hold(False)
        if self._reactor._withdraw(self):
            system.close(fd)
        self.fd = -1
        self.interest = 0
        self._uncount()

    cdef void _abandon(self) noexcept:
        """Called when it is collected while it is open."""
        self._shut()

    @cython.final
    cdef int _lost(self) except -1:
        """Called when other code has closed the descriptor, and the system has reused its number."""
        self._hold(False)
        self._reactor._withdraw(self)
        self.fd = -1
        self._uncount()
        return self._close_here()

    @cython.final
    cdef inline void _uncount(self) noexcept:
        if self.tally is not None:
            self.tally.open -= 1
            self.tally = None

    @cython.final
    cdef inline void _hold(self, bint strongly) noexcept:
        """Decides whether the reactor keeps this source alive. The caller holds a reference."""
        self._reactor.poller.hold(self, strongly)

    cdef int _ready(self, uint32_t events) except -1:
        """Called when the descriptor is ready."""
        return 0

    cdef int _attend(self) except -1:
        """Called when the postponed work is due."""
        return 0

    cdef int _send_output(self) except -1:
        """Called when output was written outside the source's own listeners."""
        return 0

    cdef int _discard(self) except -1:
        """Closes without events: the reactor is closed."""
        self._shut()
        return 0

    cdef Py_ssize_t _kept(self) noexcept:
        """Returns how many bytes it keeps for the program, as the reactor has counted them."""
        return 0

    cdef bint _idle_too_long(self, uint32_t moment) except -1:
        """Breaks the connection if it was idle for too long; returns True if it has a limit and is still open."""
        return False

    def fileno(self):
        """Returns the descriptor.

        Raises:
            IOError: The socket is not open (#2002).
        """
        self._check()
        if self.fd < 0:
            raise errors.not_open("fileno")
        return self.fd

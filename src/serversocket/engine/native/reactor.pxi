# The reactor: epoll, the table of who is watched, and the turn.

cdef extern from "Python.h":
    void Py_SET_SIZE(bytes memory, Py_ssize_t size)


cdef enum:
    READ_SIZE = 65536           # a larger buffer would cost an mmap each time it is allocated
    READY_PER_TURN = 256        # descriptors reported by one epoll_wait
    WARY = 64                   # large reads


cdef double NEVER = math.inf
cdef double FAR_FUTURE = 1e12       # seconds; what the system takes as a time is bounded


cdef class Source(EventDispatcher)      # whom it watches


cdef struct Slot:
    PyObject *source            # borrowed; NULL where the slot is free
    uint32_t generation         # raised when the slot is freed: by it, readiness of an earlier owner is known
    uint32_t freed              # the turn in which that was


cdef double _seconds(timeout) except? -1:
    cdef double seconds
    if timeout is None:
        return NEVER
    if type(timeout) is float or type(timeout) is int:
        try:
            seconds = timeout
            if seconds >= 0:
                return seconds
        except OverflowError:
            pass
    return as_timeout("timeout", timeout)


@cython.no_gc_clear     # as every Source, see there
@cython.auto_pickle(False)
cdef class Reactor(EventDispatcher):
    """Waits for the system and delivers events. The public class is `serversocket.Reactor`."""

    cdef int epoll
    cdef int wakeup             # an eventfd: calls from other threads, work left for a host
    cdef int alarm              # a timerfd, once a host polls `fileno()`
    cdef int spare              # given up for a moment to tell waiting clients when descriptors run out
    cdef uintptr_t thread       # whose it is; 0, nobody's, in a forked child
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

    def __cinit__(self):
        self.epoll = self.wakeup = self.alarm = self.spare = -1
        self.thread = this_thread()
        self.thread_name = threading.current_thread().name
        self.deadline = NEVER
        self.limit = REACTOR_LIMIT
        self.owners = []
        self.wakeups = []
        self.dirty = []
        self.postponed = []
        self.finished = weakref.WeakValueDictionary()
        self.landing()
        self.ready = <system.epoll_event *> PyMem_Malloc(READY_PER_TURN * sizeof(system.epoll_event))
        if self.ready == NULL:
            raise errors.out_of_memory("Reactor")
        self.epoll = checked(system.epoll_create1(system.EPOLL_CLOEXEC))
        self.wakeup = checked(system.eventfd(0, system.EFD_CLOEXEC | system.EFD_NONBLOCK))
        self.spare = open_spare()
        self._add_wakeup(self.wakeup)

    def __dealloc__(self):
        self._close_descriptors()
        PyMem_Free(self.slots)
        PyMem_Free(self.ready)

    @cython.final
    cdef void _close_descriptors(self) noexcept:
        self._found(0)
        close_descriptor(&self.epoll)
        close_descriptor(&self.wakeup)
        close_descriptor(&self.alarm)
        close_descriptor(&self.spare)

    cdef int _check(self) except -1:
        return self._check_owner()

    @cython.final
    cdef inline int _check_owner(self) except -1:
        if this_thread() != self.thread:
            self._refuse()
        return 0

    @cython.final
    cdef inline char *landing(self) except NULL:
        """READ_SIZE bytes to receive into.

        They are a bytes object, so that a listener can have a large read whole, without a copy, or look at it for as
        long as it likes: what somebody else holds is not written to again, and the next read gets a new one.
        """
        if self.buffer is None:
            self.buffer = PyBytes_FromStringAndSize(NULL, READ_SIZE)
        elif Py_REFCNT(<PyObject *> self.buffer) > 1:
            self.wary = WARY
            self.buffer = PyBytes_FromStringAndSize(NULL, READ_SIZE)
        else:
            Py_SET_SIZE(self.buffer, READ_SIZE)
        return PyBytes_AS_STRING(self.buffer)

    @cython.final
    cdef bint _serves(self) noexcept:
        """Whether it is open, and this thread's."""
        return self.epoll >= 0 and this_thread() == self.thread

    @cython.final
    cdef int _refuse(self) except -1:
        if self.dead:
            raise RuntimeError("this reactor belongs to the parent process; a forked child needs one of its own")
        raise RuntimeError(
            f"this object belongs to thread {self.thread_name!r}, called from {threading.current_thread().name!r}"
        )

    @cython.final
    cdef int _check_open(self) except -1:
        self._check_owner()
        if self.epoll < 0:
            raise RuntimeError("the reactor is closed")
        return 0

    def _check_thread(self):
        self._check_owner()

    # ---- slots

    @cython.final
    cdef int _enroll(self, Source source, uint32_t fd) except -1:
        """Gives a source its slot."""
        cdef Source stale
        self._check_open()
        if fd >= self.slot_count:
            self._grow(fd + 1)
        if self._alive(fd):
            stale = <Source> self.slots[fd].source
            stale._lost()
        elif self.slots[fd].source != NULL:
            self._disown(self.slots[fd].source)
        self.slots[fd].source = <PyObject *> source
        source.slot = fd
        return 0

    @cython.final
    cdef void _disown(self, PyObject *dying) noexcept:
        """As `Source._lost`, of one whose deallocation has begun: no reference to it may be counted any more."""
        self._vacate((<Source> dying).slot)
        if (<Source> dying).watched:
            (<Source> dying).watched = False
            self.watched -= 1
        (<Source> dying).slot = NO_SLOT
        (<Source> dying).fd = -1
        (<Source> dying)._uncount()

    @cython.final
    cdef void _vacate(self, uint32_t index) noexcept:
        self.slots[index].source = NULL
        self.slots[index].generation += 1
        self.slots[index].freed = self.turns

    @cython.final
    cdef int _grow(self, uint32_t least) except -1:
        cdef uint32_t index, before = self.slot_count
        cdef uint32_t after = before if before else 64
        cdef Slot *slots
        cdef list owners
        while after < least:
            after *= 2
        owners = [None] * (after - before)
        if self.slot_count != before:   # the garbage collector has run finalizers, which have come here
            return self._grow(least) if self.slot_count < least else 0
        self.owners.extend(owners)
        slots = <Slot *> PyMem_Realloc(self.slots, after * sizeof(Slot))
        if slots == NULL:
            raise errors.out_of_memory("Reactor")
        self.slots = slots
        for index in range(before, after):
            slots[index].source = NULL
            slots[index].generation = 0
            slots[index].freed = 0
        self.slot_count = after
        return 0

    @cython.final
    cdef bint _alive(self, uint32_t slot) noexcept:
        """Whether the slot has a source, and not one whose deallocation has begun and runs Python code.

        Then it has no reference, or the one that Cython has given it.
        """
        cdef PyObject *source = self.slots[slot].source
        return source != NULL and Py_REFCNT(source) > 0 and not (<Source> source).dying

    @cython.final
    cdef int _watch(self, Source source, uint32_t interest) except -1:
        """Registers what a source waits for, or changes it."""
        cdef system.epoll_event event
        if source.watched and source.interest == interest:
            return 0
        event.events = interest
        event.data.u64 = (<uint64_t> self.slots[source.slot].generation) << 32 | source.slot
        checked(system.epoll_ctl(
            self.epoll, system.EPOLL_CTL_MOD if source.watched else system.EPOLL_CTL_ADD, source.fd, &event
        ))
        source.interest = interest
        if not source.watched:
            source.watched = True
            self.watched += 1
        return 0

    @cython.final
    cdef bint _withdraw(self, Source source) noexcept:
        """Ends the registration: before the descriptor is closed, for a duplicate would keep it in epoll.

        Returns whether the descriptor is still the source's. Where epoll does not know the number, somebody has closed
        it behind the source's back, and it may be anybody's by now.
        """
        cdef bint owned = True
        if source.slot == NO_SLOT:
            return owned
        if source.watched:
            source.watched = False
            self.watched -= 1
            # What is dying when the reactor is closed has no epoll to leave any more, and its descriptor is its own.
            if not self.dead and self.epoll >= 0 and system.epoll_ctl(
                self.epoll, system.EPOLL_CTL_DEL, source.fd, NULL
            ) < 0:
                owned = system.errno not in (system.ENOENT, system.EBADF, system.EPERM)
        self._vacate(source.slot)
        source.slot = NO_SLOT
        if this_thread() != self.thread and not self.dead:
            self._rouse()     # collected by another thread: it may have been all that `run` waits for
        return owned

    # ---- what is kept for the program

    @property
    def buffer_limit(self):
        """The most bytes of unread input and unsent output that all connections together may keep; 1 GiB at first.

        Where more would be kept, the connection that keeps most is broken: its ``ioError`` has ``errno.ENOBUFS``,
        and what it has kept is dropped. If that is the one being written to, or all others could not make room enough,
        `Socket.write` raises. Unread input of a socket whose peer has gone is dropped without an event: it is closed,
        and reading it raises.

        Raises:
            TypeError: The value is not an integer.
            RangeError: It is not positive (#2006).
        """
        return self.limit

    @buffer_limit.setter
    def buffer_limit(self, value):
        self._check_owner()
        self.limit = as_limit("buffer_limit", value)

    @property
    def bytes_kept(self):
        """How many bytes of unread input and unsent output all connections keep together.

        Output counts until the whole of what was given to one `Socket.write` is sent, for until then it is in memory.
        """
        return self.kept

    @cython.final
    cdef int _relieve(self, Source asking, Py_ssize_t more) except -1:
        """Breaks the connections that keep most until there is room for `more` bytes; whether there is."""
        cdef Source fullest
        if asking._kept() + more > self.limit:
            return False    # all others together could not make enough
        while self.kept > self.limit - more:
            fullest = self._fullest()
            if fullest is None or fullest is asking:
                return False
            fullest._overrun()
        return True

    @cython.final
    cdef Source _fullest(self):
        cdef uint32_t index
        cdef Py_ssize_t kept, most = 0
        cdef Source source, fullest = None
        for index in range(self.slot_count):
            if self._alive(index):
                source = <Source> self.slots[index].source
                kept = source._kept()
                if kept > most:
                    fullest = source
                    most = kept
        for source in self.finished.values():
            kept = source._kept()
            if kept > most:
                fullest = source
                most = kept
        return fullest

    @cython.final
    cdef int _track_idle(self) except -1:
        """From now on connections know when something was last sent or received."""
        self.moment = moment_of(now())
        self.tracking = True
        return 0

    def _end_idle(self):
        """Breaks the connections that were idle for too long; whether others may still become so."""
        cdef uint32_t index, moment = moment_of(now())
        cdef Source source
        cdef bint any_limited = False
        for index in range(self.slot_count):
            if self._alive(index):
                source = <Source> self.slots[index].source
                any_limited |= source._idle_too_long(moment)
        self.tracking = any_limited
        return any_limited

    # ---- running

    @property
    def closed(self):
        """Whether the reactor was closed."""
        return self.epoll < 0

    @property
    def running(self):
        """Whether `run` is under way."""
        return self.in_run

    def run(self):
        """Delivers events until `stop` is called or nothing is left open.

        Raises:
            RuntimeError: The reactor is closed, is running already, or belongs to another thread.
        """
        self._check_open()
        self._refuse_nesting()
        self.in_run = True
        try:
            while not self.stopping:
                if self.dirty:
                    self._send_dirty()      # it may be all that is left
                if not self._anything_left():
                    break
                self._turn(NEVER)
        finally:
            self.in_run = False
            self.stopping = False

    def poll(self, timeout=None):
        """Delivers what is ready, once.

        Args:
            timeout: Seconds to wait for something to be ready; ``None`` waits without end, 0 not at all.

        Returns:
            How many things were handled: ready descriptors, timers, calls from other threads, postponed events.

        Raises:
            ValueError: `timeout` is negative or not a number.
            RuntimeError: The reactor is closed, is in a turn already, or belongs to another thread.
        """
        cdef double seconds = _seconds(timeout)
        self._check_open()
        self._refuse_nesting()
        return self._turn(seconds)

    @cython.final
    cdef int _refuse_nesting(self) except -1:
        if self.in_turn or self.in_run:
            raise RuntimeError("the reactor is running already; it cannot be run from inside a listener")
        return 0

    @cython.final
    cdef bint _anything_left(self) except -1:
        return self.watched or self.retained or self.dirty or self.postponed or self._has_scheduled

    def _is_idle(self):
        return not self._anything_left()

    def stop(self):
        """Makes `run` return after the present turn; from any thread. Called before `run`, it ends the next one."""
        self.stopping = True
        self._wake()

    def fileno(self):
        """A descriptor that is readable whenever ``poll(0)`` has work, so that another loop can host this reactor.

        Raises:
            RuntimeError: The reactor is closed or belongs to another thread.
        """
        self._check_open()
        if self.alarm < 0:
            self.alarm = checked(
                system.timerfd_create(system.CLOCK_MONOTONIC, system.TFD_CLOEXEC | system.TFD_NONBLOCK)
            )
            try:
                self._add_wakeup(self.alarm)
            except BaseException:
                close_descriptor(&self.alarm)
                raise
            self._set_deadline(None if self.deadline == NEVER else self.deadline)
            self._show_work()
        return self.epoll

    def _refuse_close(self):
        self._check_owner()
        if self.in_turn or self.in_run:
            raise RuntimeError("the reactor is running; stop() it before close()")

    def close(self):
        """Closes the reactor and, without events, everything that belongs to it. A second call does nothing.

        Connections whose output the system has not taken completely are reset, so that no peer takes a part for the
        whole; so are those that were closed before and still send.

        Raises:
            RuntimeError: A listener of this reactor is running, or another thread owns it.
        """
        cdef uint32_t index
        cdef Source source
        if self.epoll < 0:
            return
        self._refuse_close()
        self._send_dirty()
        for index in range(self.slot_count):
            if self._alive(index):
                source = <Source> self.slots[index].source
                source._close_here()
        self.dirty.clear()
        self.postponed.clear()
        self._close_descriptors()

    def _forked(self):
        """In a forked child: lets go of everything without touching what the parent still uses."""
        cdef uint32_t index
        cdef Source source
        self.dead = True
        self.thread = 0
        self.in_turn = self.in_run = False
        for index in range(self.slot_count):
            if self._alive(index):
                source = <Source> self.slots[index].source
                source._discard()
        self.retained = 0
        self.deadline = NEVER
        self.dirty.clear()
        self.postponed.clear()
        self._close_descriptors()

    def _wake(self):
        self._rouse()

    @cython.final
    cdef void _rouse(self) noexcept:
        cdef uint64_t one = 1
        if self.wakeup >= 0:
            system.write(self.wakeup, &one, 8)

    def _add_wakeup(self, int fd):
        cdef system.epoll_event event
        self._check_open()
        event.events = system.EPOLLIN
        event.data.u64 = (<uint64_t> fd) << 32 | <uint64_t> NO_SLOT
        checked(system.epoll_ctl(self.epoll, system.EPOLL_CTL_ADD, fd, &event))
        self.wakeups.append(fd)

    def _remove_wakeup(self, int fd):
        if self.epoll >= 0:
            system.epoll_ctl(self.epoll, system.EPOLL_CTL_DEL, fd, NULL)
            self.wakeups.remove(fd)

    def _retain(self):
        self.retained += 1

    def _release(self):
        self.retained -= 1

    def _set_deadline(self, when):
        cdef system.itimerspec setting
        self.deadline = NEVER if when is None else min(<double> when, FAR_FUTURE)
        if self.alarm < 0:
            return
        system.memset(&setting, 0, sizeof(setting))
        if self.deadline != NEVER:
            setting.it_value.tv_sec = <system.time_t> self.deadline
            setting.it_value.tv_nsec = <long> ((self.deadline - <double> setting.it_value.tv_sec) * 1e9)
            if setting.it_value.tv_sec == 0 and setting.it_value.tv_nsec == 0:
                setting.it_value.tv_nsec = 1    # all zero would disarm it
        system.timerfd_settime(self.alarm, system.TFD_TIMER_ABSTIME, &setting, NULL)

    @cython.final
    cdef int _show_work(self) except -1:
        """Makes a hosted reactor's descriptor readable while something waits that epoll does not know of.

        An overdue timer is among that: the alarm was read in this turn, and nobody may have set it again.
        """
        if self.alarm < 0 or self.in_turn:
            return 0
        if self.dirty or self.postponed or self.woken or self.served < self.found or self.deadline <= now():
            self._wake()
        return 0

    @cython.final
    cdef int _postpone(self, Source source) except -1:
        if not source.postponed:
            self.postponed.append(source)
            source.postponed = True
            self._show_work()
        return 0

    # ---- the turn

    @cython.final
    cdef Py_ssize_t _turn(self, double timeout) except -1:
        cdef uint32_t slot, events
        cdef uint64_t tag
        cdef Source source
        cdef Py_ssize_t handled = 0
        cdef bint haunted = False
        self.in_turn = True
        try:
            if self.dirty:
                self._send_dirty()
            if self.served == self.found:
                self._wait(0 if self.postponed or self.woken else timeout)
                self.turns += 1
            if self.tracking:
                self.moment = moment_of(now())
            while self.served < self.found:
                tag = self.ready[self.served].data.u64
                events = self.ready[self.served].events
                self.served += 1
                slot = <uint32_t> tag
                if slot == NO_SLOT:
                    self._drain(<int> (tag >> 32))
                    continue
                if self.slots[slot].generation != <uint32_t> (tag >> 32) or not self._alive(slot):
                    # Freed in this turn: what was ready before that. In an earlier one: it cannot be in epoll any more.
                    haunted |= self.slots[slot].freed != self.turns
                    continue
                source = <Source> self.slots[slot].source
                handled += 1
                try:
                    source._ready(events)
                except BaseException as error:
                    # No single connection's trouble, such as memory running out, may end the service of the others.
                    if leaves(error):
                        raise
                    report(error, source)
            source = None
            if haunted:
                self._rebuild()
            if self.deadline != NEVER and self.deadline <= now():
                handled += self._run_timers()
            if self.woken:
                handled += self._run_calls()
                self.woken = False      # last: what an interrupt leaves undone is looked for again
            if self.dirty:
                self._send_dirty()
            if self.postponed:
                handled += self._run_postponed()
        finally:
            self.in_turn = False
            self._show_work()
        return handled

    @cython.final
    cdef int _rebuild(self) except -1:
        """Puts a new epoll in the place of this one, which reports a descriptor that nobody can take out of it.

        Somebody has closed it behind its source's back while a duplicate lives, in a forked child perhaps. Epoll goes
        by what is open, not by the number, and would wake this reactor for ever.
        """
        cdef uint32_t index
        cdef system.epoll_event event
        cdef Source source
        cdef int old = self.epoll
        cdef int fresh = system.epoll_create1(system.EPOLL_CLOEXEC)
        if fresh < 0:
            return 0    # the next turn tries again
        try:
            for fd in self.wakeups:
                event.events = system.EPOLLIN
                event.data.u64 = (<uint64_t> <uint32_t> fd) << 32 | <uint64_t> NO_SLOT
                checked(system.epoll_ctl(fresh, system.EPOLL_CTL_ADD, fd, &event))
            for index in range(self.slot_count):
                if self._alive(index) and (<Source> self.slots[index].source).watched:
                    source = <Source> self.slots[index].source
                    event.events = source.interest
                    event.data.u64 = (<uint64_t> self.slots[index].generation) << 32 | index
                    # Where this fails, that descriptor too was closed behind its source's back, or memory is short.
                    if system.epoll_ctl(fresh, system.EPOLL_CTL_ADD, source.fd, &event) < 0 and (
                        system.errno == system.ENOMEM or system.errno == system.ENOSPC
                    ):
                        raise_errno(system.errno)
            checked(system.dup3(fresh, old, system.O_CLOEXEC))
        except OSError:
            return 0
        finally:
            system.close(fresh)
        self._moved()
        return 0

    @cython.final
    cdef int _wait(self, double timeout) except -1:
        """Fills `ready`. A signal's handler may raise, but what was found by then is not lost."""
        cdef int count
        cdef double remaining, limit
        cdef int milliseconds
        if timeout == 0:
            # Nothing blocks here, so there is nothing to release the GIL for.
            count = system.epoll_wait(self.epoll, self.ready, READY_PER_TURN, 0)
            if count < 0 and system.errno != system.EINTR:
                raise_errno(system.errno)
            self._found(count)
            PyErr_CheckSignals()
            return 0
        limit = NEVER if timeout == NEVER else now() + timeout
        while True:
            milliseconds = -1
            if limit != NEVER or self.deadline != NEVER:
                remaining = min(limit, self.deadline) - now()
                # Rounded up: waking before a deadline would only mean waiting again.
                milliseconds = 0 if remaining <= 0 else <int> min(remaining * 1e3 + 0.999, 2147483000.0)
            with nogil:
                count = system.epoll_wait(self.epoll, self.ready, READY_PER_TURN, milliseconds)
            if count > 0:
                self._found(count)
                PyErr_CheckSignals()
                return 0
            if count < 0 and system.errno != system.EINTR:
                raise_errno(system.errno)
            PyErr_CheckSignals()
            if limit <= now() or self.deadline <= now():
                return 0

    @cython.final
    cdef inline void _found(self, int count) noexcept:
        self.served = 0
        self.found = max(count, 0)

    @cython.final
    cdef int _drain(self, int fd) except -1:
        cdef char waste[64]
        if fd not in self.wakeups:
            return 0        # removed since the wait: the number may be anybody's by now
        while system.read(fd, waste, sizeof(waste)) == sizeof(waste):
            pass
        self.woken = True
        return 0

    def _send_unsent(self):
        """Hands to the system what it takes of all output: what it refuses resets its connection when it is closed."""
        if self._serves():
            self._send_dirty()

    @cython.final
    cdef int _send_dirty(self) except -1:
        cdef Source source
        cdef list sources = self.dirty
        cdef Py_ssize_t done = 0
        self.dirty = []
        try:
            for source in sources:
                done += 1
                source.dirty = False
                try:
                    source._send_output()
                except BaseException as error:
                    if leaves(error):
                        raise
                    report(error, source)
        finally:
            self.dirty[:0] = sources[done:]     # what an interrupt left undone
        return 0

    @cython.final
    cdef Py_ssize_t _run_postponed(self) except -1:
        cdef Source source
        cdef list sources = self.postponed
        cdef Py_ssize_t done = 0
        self.postponed = []
        try:
            for source in sources:
                source.postponed = False
                try:
                    source._attend()
                except BaseException as error:
                    if leaves(error):
                        raise
                    report(error, source)
                done += 1
                if self.dead:
                    return done     # in a child that a listener has forked
        finally:
            if done < len(sources) and not self.dead:
                # From who was interrupted on: it may have more to attend to.
                (<Source> sources[done]).postponed = True
                self.postponed[:0] = sources[done:]
        return done

# The poller: epoll, the table of watched sources, and the ways to end a wait.

cdef enum:
    NO_SLOT = 0xFFFFFFFF        # not enrolled; in an epoll tag: a descriptor that only wakes the wait
    READY_PER_TURN = 256        # descriptors reported by one epoll_wait


cdef double NEVER = math.inf


cdef class Source(EventDispatcher)      # the sources that it watches


cdef struct Slot:
    PyObject *source            # borrowed; NULL where the slot is free
    uint32_t generation         # raised when the slot is freed: detects readiness of an earlier owner
    uint32_t freed              # the round in which the slot was freed


cdef inline int control(int epoll, int operation, int fd, uint32_t interest, uint32_t slot, uint32_t mark) noexcept:
    """Changes a registration. `mark` is the slot's generation or, for a descriptor without a slot, its number."""
    cdef system.epoll_event event
    event.events = interest
    event.data.u64 = (<uint64_t> mark) << 32 | slot
    return system.epoll_ctl(epoll, operation, fd, &event)


@cython.final
@cython.no_gc_clear     # as for every Source, see there
@cython.auto_pickle(False)
cdef class Poller:
    """Waits for the system, and knows the owners of the descriptors.

    A slot's index is the number of its descriptor. The owner is held weakly, by a borrowed pointer that its
    deallocation clears, or also strongly (`hold`). No method calls a listener. A poller belongs to one reactor and is
    used from the reactor's thread only, except for `rouse`, which any thread may call.
    """

    cdef int epoll              # -1: closed
    cdef int wakeup             # an eventfd: calls from other threads, work left for a host
    cdef int alarm              # a timerfd, once a host polls
    cdef list wakeups           # descriptors without a source, which only wake the wait
    cdef bint woken             # one of them was readable; the reactor clears this when it has looked for calls

    cdef Slot *slots
    cdef uint32_t slot_count
    cdef list owners            # by slot: the source if it is held strongly, else None
    cdef Py_ssize_t watched     # sources registered with epoll

    cdef system.epoll_event *ready
    cdef int found              # how many entries of `ready` the last wait has filled
    cdef int served             # how many of them had their turn; an interrupt leaves the others to the next one
    cdef uint32_t rounds        # waits so far, modulo 2 ** 32
    cdef bint stale             # epoll reports a stale registration: see `rebuild`

    def __cinit__(self):
        self.epoll = self.wakeup = self.alarm = -1
        self.owners = []
        self.wakeups = []
        self.ready = <system.epoll_event *> PyMem_Malloc(READY_PER_TURN * sizeof(system.epoll_event))
        if self.ready == NULL:
            raise errors.out_of_memory("Reactor")
        self.epoll = checked(system.epoll_create1(system.EPOLL_CLOEXEC))
        self.wakeup = checked(system.eventfd(0, system.EFD_CLOEXEC | system.EFD_NONBLOCK))
        self.add_wakeup(self.wakeup)

    def __dealloc__(self):
        self.close()
        PyMem_Free(self.slots)
        PyMem_Free(self.ready)

    cdef void close(self) noexcept:
        self.served = self.found = 0
        close_descriptor(&self.epoll)
        close_descriptor(&self.wakeup)
        close_descriptor(&self.alarm)

    cdef inline int check_open(self) except -1:
        if self.epoll < 0:
            raise RuntimeError("the reactor is closed")
        return 0

    # ---- slots

    cdef int enroll(self, Source source, uint32_t fd) except -1:
        """Gives a source its slot."""
        cdef Source loser
        self.check_open()
        if fd >= self.slot_count:
            self.grow(fd + 1)
        if self.alive(fd):
            loser = <Source> self.slots[fd].source
            loser._lost()
        elif self.slots[fd].source != NULL:
            self.disown(self.slots[fd].source)
        self.slots[fd].source = <PyObject *> source
        source.slot = fd
        return 0

    cdef void disown(self, PyObject *dying) noexcept:
        """As `Source._lost`, for a source whose deallocation has begun: it gets no reference any more."""
        self.vacate((<Source> dying).slot)
        if (<Source> dying).watched:
            (<Source> dying).watched = False
            self.watched -= 1
        (<Source> dying).slot = NO_SLOT
        (<Source> dying).fd = -1
        (<Source> dying)._uncount()

    cdef void vacate(self, uint32_t index) noexcept:
        self.slots[index].source = NULL
        self.slots[index].generation += 1
        self.slots[index].freed = self.rounds

    cdef int grow(self, uint32_t least) except -1:
        cdef uint32_t index, before = self.slot_count
        cdef uint32_t after = before if before else 64
        cdef Slot *slots
        cdef list owners
        while after < least:
            after *= 2
        owners = [None] * (after - before)
        if self.slot_count != before:   # the garbage collector has run finalizers, which have called this
            return self.grow(least) if self.slot_count < least else 0
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

    cdef bint alive(self, uint32_t slot) noexcept:
        """Returns True if the slot has a source, and not one whose deallocation has begun and runs Python code.

        Then it has no reference, or the one that Cython has given it.
        """
        cdef PyObject *source = self.slots[slot].source
        return source != NULL and any_reference(source) and not (<Source> source).dying

    cdef inline void hold(self, Source source, bint strongly) noexcept:
        """Decides whether a source is kept alive. The caller holds a reference."""
        if source.slot < <uint32_t> len(self.owners):
            self.owners[source.slot] = source if strongly else None

    cdef int watch(self, Source source, uint32_t interest) except -1:
        """Registers what a source waits for, or changes it."""
        if source.watched and source.interest == interest:
            return 0
        checked(control(
            self.epoll, system.EPOLL_CTL_MOD if source.watched else system.EPOLL_CTL_ADD, source.fd,
            interest, source.slot, self.slots[source.slot].generation,
        ))
        source.interest = interest
        if not source.watched:
            source.watched = True
            self.watched += 1
        return 0

    cdef bint withdraw(self, Source source) noexcept:
        """Ends the registration: before the descriptor is closed, for a duplicate would keep it in epoll.

        Returns True if the descriptor still belongs to the source. If epoll does not know the number, other code has
        closed it, and it may have another owner by now.
        """
        cdef bint owned = True
        if source.slot == NO_SLOT:
            return owned
        if source.watched:
            source.watched = False
            self.watched -= 1
            # A source that dies after this was closed has no epoll to leave any more, and still owns its descriptor.
            if self.epoll >= 0 and system.epoll_ctl(self.epoll, system.EPOLL_CTL_DEL, source.fd, NULL) < 0:
                owned = system.errno not in (system.ENOENT, system.EBADF, system.EPERM)
        self.vacate(source.slot)
        source.slot = NO_SLOT
        return owned

    # ---- the wait

    cdef int wait(self, double timeout, double deadline) except -1:
        """Waits for `timeout` seconds, or until a deadline, and notes what is ready.

        A signal handler may raise, but readiness that was found by then is not lost.
        """
        cdef int count
        cdef double remaining, end = deadline
        cdef int milliseconds
        self.rounds += 1
        if timeout == 0:
            # Nothing blocks here, so there is nothing to release the GIL for.
            count = system.epoll_wait(self.epoll, self.ready, READY_PER_TURN, 0)
            if count < 0 and system.errno != system.EINTR:
                raise_errno(system.errno)
            self.served = 0
            self.found = max(count, 0)
            PyErr_CheckSignals()
            return 0
        if timeout != NEVER:
            end = min(end, now() + timeout)
        while True:
            milliseconds = -1
            if end != NEVER:
                remaining = end - now()
                # Rounded up: waking before a deadline would only mean waiting again.
                milliseconds = 0 if remaining <= 0 else <int> min(remaining * 1e3 + 0.999, 2147483000.0)
            with nogil:
                count = system.epoll_wait(self.epoll, self.ready, READY_PER_TURN, milliseconds)
            if count > 0:
                self.served = 0
                self.found = count
                PyErr_CheckSignals()
                return 0
            if count < 0 and system.errno != system.EINTR:
                raise_errno(system.errno)
            PyErr_CheckSignals()
            if end <= now():
                return 0

    cdef inline PyObject *next_ready(self, uint32_t *events) except? NULL:
        """Returns the next ready source, and its events; NULL for a free slot, or for a descriptor that only wakes."""
        cdef uint64_t tag = self.ready[self.served].data.u64
        cdef uint32_t slot = <uint32_t> tag
        events[0] = self.ready[self.served].events
        self.served += 1
        if slot == NO_SLOT:
            self.drain(<int> (tag >> 32))
            return NULL
        if self.slots[slot].generation != <uint32_t> (tag >> 32) or not self.alive(slot):
            # Freed in this round: it was ready before. Freed in an earlier one: it cannot be in epoll any more.
            self.stale |= self.slots[slot].freed != self.rounds
            return NULL
        return self.slots[slot].source

    cdef inline bint has_work(self) noexcept:
        """Returns True if the last wait has left something to do: a ready source, or a look for calls."""
        return self.woken or self.served < self.found

    cdef bint rebuild(self) except -1:
        """Replaces an epoll that reports a stale registration by a new one; returns False if the next turn has to.

        Other code has closed that descriptor while a duplicate is open, in a forked child perhaps. Epoll keeps the open
        file, not the number: the registration cannot be removed, and it would end every wait.
        """
        cdef int fresh = system.epoll_create1(system.EPOLL_CLOEXEC)
        self.stale = False
        if fresh < 0:
            return False
        try:
            self.register_all(fresh)
            checked(system.dup3(fresh, self.epoll, system.O_CLOEXEC))
        except OSError:
            return False
        finally:
            system.close(fresh)
        return True

    cdef int register_all(self, int epoll) except -1:
        cdef uint32_t index
        cdef Source source
        for fd in self.wakeups:
            checked(control(epoll, system.EPOLL_CTL_ADD, fd, system.EPOLLIN, NO_SLOT, fd))
        for index in range(self.slot_count):
            if not self.alive(index):
                continue
            source = <Source> self.slots[index].source
            # If this fails, other code has closed that descriptor too, or memory is short.
            if source.watched and control(
                epoll, system.EPOLL_CTL_ADD, source.fd, source.interest, index, self.slots[index].generation
            ) < 0 and system.errno in (system.ENOMEM, system.ENOSPC):
                raise_errno(system.errno)
        return 0

    # ---- other ways to end a wait

    cdef int add_wakeup(self, int fd) except -1:
        """Adds a descriptor without a source, which ends the wait when it is readable, and is drained."""
        checked(control(self.epoll, system.EPOLL_CTL_ADD, fd, system.EPOLLIN, NO_SLOT, fd))
        self.wakeups.append(fd)
        return 0

    cdef int remove_wakeup(self, int fd) except -1:
        if self.epoll >= 0:
            system.epoll_ctl(self.epoll, system.EPOLL_CTL_DEL, fd, NULL)
            self.wakeups.remove(fd)
        return 0

    cdef int drain(self, int fd) except -1:
        cdef char waste[64]
        if fd not in self.wakeups:
            return 0        # removed since the wait: the number may have another owner by now
        while system.read(fd, waste, sizeof(waste)) == sizeof(waste):
            pass
        self.woken = True
        return 0

    cdef void rouse(self) noexcept:
        """Ends the wait, or the next one; may be called from any thread."""
        cdef uint64_t one = 1
        if self.wakeup >= 0:
            system.write(self.wakeup, &one, 8)

    cdef int open_alarm(self) except -1:
        """Makes epoll's own descriptor become readable at a deadline too, for a host that polls it."""
        self.alarm = checked(system.timerfd_create(system.CLOCK_MONOTONIC, system.TFD_CLOEXEC | system.TFD_NONBLOCK))
        try:
            self.add_wakeup(self.alarm)
        except BaseException:
            close_descriptor(&self.alarm)
            raise
        return 0

    cdef void set_alarm(self, double deadline) noexcept:
        """Sets the alarm, if there is one."""
        cdef system.itimerspec setting
        if self.alarm < 0:
            return
        system.memset(&setting, 0, sizeof(setting))
        if deadline != NEVER:
            setting.it_value.tv_sec = <system.time_t> deadline
            setting.it_value.tv_nsec = <long> ((deadline - <double> setting.it_value.tv_sec) * 1e9)
            if setting.it_value.tv_sec == 0 and setting.it_value.tv_nsec == 0:
                setting.it_value.tv_nsec = 1    # all zero would disarm it
        system.timerfd_settime(self.alarm, system.TFD_TIMER_ABSTIME, &setting, NULL)

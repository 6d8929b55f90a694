# The reactor: its thread, its turn, and the data that connections keep.

cdef enum:
    READ_SIZE = 65536           # a larger buffer would cost an mmap each time it is allocated
    WARY = 64                   # large reads


cdef double FAR_FUTURE = 1e12       # seconds; the system's times are bounded


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


@cython.no_gc_clear     # as for every Source, see there
@cython.auto_pickle(False)
cdef class Reactor(EventDispatcher):
    """Waits for the system and delivers events. The public class is `serversocket.Reactor`."""

    cdef Poller poller
    cdef int spare              # closed for a moment to turn waiting clients away when descriptors run out
    cdef uintptr_t thread       # the owner; 0, no thread, in a forked child
    cdef str thread_name
    cdef Py_ssize_t retained    # how many things are open without a descriptor

    # The state of a turn.
    cdef bytes buffer           # input is received here; programs may keep it, so it is written only after `landing`
    cdef int wary               # so many large reads get memory of their own: a program has kept the shared one
    cdef list dirty             # sources with output, before the first attempt to send it
    cdef list postponed         # sources to attend to in the last step of the turn
    cdef double deadline

    # Data that all connections keep for programs: unread input and unsent output.
    cdef Py_ssize_t kept
    cdef Py_ssize_t limit       # the most bytes that all connections may keep
    cdef object finished        # sources by id, weakly, without a slot but with unread input
    cdef bint tracking          # some connection has an idle limit: `moment` is kept up to date
    cdef uint32_t moment        # milliseconds of the monotonic clock when this turn began, modulo 2 ** 32

    cdef bint in_turn
    cdef bint in_run
    cdef bint stopping
    cdef bint dead              # in a forked child

    def __cinit__(self):
        self.spare = -1
        self.thread = this_thread()
        self.thread_name = threading.current_thread().name
        self.deadline = NEVER
        self.limit = REACTOR_LIMIT
        self.dirty = []
        self.postponed = []
        self.finished = weakref.WeakValueDictionary()
        self.landing()
        self.poller = Poller.__new__(Poller)
        self.spare = open_spare()

    def __dealloc__(self):
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
        """Returns READ_SIZE bytes of memory to receive into.

        They are a bytes object, so that a listener can get a large read whole, without a copy, or keep a view of it. An
        object with other references is not written to again: the next read gets a new one.
        """
        if self.buffer is None:
            self.buffer = PyBytes_FromStringAndSize(NULL, READ_SIZE)
        elif not reclaim(<PyObject *> self.buffer, READ_SIZE):
            self.wary = WARY
            self.buffer = PyBytes_FromStringAndSize(NULL, READ_SIZE)
        return PyBytes_AS_STRING(self.buffer)

    @cython.final
    cdef bint _serves(self) noexcept:
        """Returns True if it is open and belongs to this thread."""
        return self.poller.epoll >= 0 and this_thread() == self.thread

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
        return self.poller.check_open()

    def _check_thread(self):
        self._check_owner()

    # ---- watched sources

    @cython.final
    cdef inline bint _withdraw(self, Source source) noexcept:
        """Ends a registration; returns True if the descriptor is still the source's."""
        cdef bint owned = self.poller.withdraw(source)
        if this_thread() != self.thread and not self.dead:
            self.poller.rouse()     # collected in another thread: `run` may have waited for nothing else
        return owned

    # ---- data kept for the program

    @property
    def _buffer_limit(self):
        """The most bytes that all connections together may keep."""
        return self.limit

    @_buffer_limit.setter
    def _buffer_limit(self, Py_ssize_t value):
        self.limit = value

    @property
    def bytes_kept(self):
        """How many bytes of unread input and unsent output all connections keep together.

        The data of one `Socket.write` counts until all of it is sent, as it stays in memory until then.
        """
        return self.kept

    def _fullest(self):
        """Returns the connection that keeps the most data; None if there is none."""
        cdef uint32_t index
        cdef Py_ssize_t kept, most = 0
        cdef Source source, fullest = None
        for index in range(self.poller.slot_count):
            if self.poller.alive(index):
                source = <Source> self.poller.slots[index].source
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
        """Has connections note, from now on, when something was last sent or received."""
        self.moment = moment_of(now())
        self.tracking = True
        return 0

    def _end_idle(self):
        """Breaks the connections that were idle for too long; returns True if others may still become so."""
        cdef uint32_t index, moment = moment_of(now())
        cdef Source source
        cdef bint any_limited = False
        for index in range(self.poller.slot_count):
            if self.poller.alive(index):
                source = <Source> self.poller.slots[index].source
                any_limited |= source._idle_too_long(moment)
        self.tracking = any_limited
        return any_limited

    # ---- running

    @property
    def closed(self):
        """True if the reactor was closed."""
        return self.poller.epoll < 0

    @property
    def running(self):
        """True while `run` is under way."""
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
                    self._send_dirty()      # nothing else may be left
                if not self._anything_left():
                    break
                self._turn(NEVER)
        finally:
            self.in_run = False
            self.stopping = False

    def poll(self, timeout=None):
        """Runs one turn: waits, and delivers the events that are ready.

        Args:
            timeout: Seconds to wait for something to be ready; ``None`` waits without a limit, 0 does not wait.

        Returns:
            How many things were handled: ready descriptors, timers, calls from other threads, postponed events.

        Raises:
            TypeError: `timeout` is not a number.
            ValueError: `timeout` is negative or not a number of seconds.
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
        return self.poller.watched or self.retained or self.dirty or self.postponed or self._has_scheduled

    def _is_idle(self):
        return not self._anything_left()

    def stop(self):
        """Makes `run` return after the current turn, or the next `run` if none is under way; from any thread."""
        self.stopping = True
        self._wake()

    def fileno(self):
        """Returns a descriptor that is readable while ``poll(0)`` has work, so that another loop can host this reactor.

        Raises:
            IOError: The system's selector has no descriptor (#2002).
            RuntimeError: The reactor is closed or belongs to another thread.
        """
        self._check_open()
        if self.poller.alarm < 0:
            self.poller.open_alarm()
            self._set_deadline(None if self.deadline == NEVER else self.deadline)
            self._show_work()
        return self.poller.epoll

    def _refuse_close(self):
        self._check_owner()
        if self.in_turn or self.in_run:
            raise RuntimeError("the reactor is running; stop() it before close()")

    def close(self):
        """Closes the reactor and, without events, everything that belongs to it. A second call does nothing.

        Connections whose output the system has not taken completely are reset, so that no peer takes a truncated stream
        for a complete one; so are those that were closed before and still send.

        Raises:
            RuntimeError: A listener of this reactor is running, or the reactor belongs to another thread.
        """
        cdef uint32_t index
        cdef Source source
        if self.poller.epoll < 0:
            return
        self._refuse_close()
        self._send_dirty()
        for index in range(self.poller.slot_count):
            if self.poller.alive(index):
                source = <Source> self.poller.slots[index].source
                source._close_here()
        self.dirty.clear()
        self.postponed.clear()
        self.poller.close()
        close_descriptor(&self.spare)

    def _forked(self):
        """Releases everything in a forked child, without touching what the parent still uses."""
        cdef uint32_t index
        cdef Source source
        self.dead = True
        self.thread = 0
        self.in_turn = self.in_run = False
        self.poller.close()     # first, so that nothing is taken out of the parent's epoll
        for index in range(self.poller.slot_count):
            if self.poller.alive(index):
                source = <Source> self.poller.slots[index].source
                source._discard()
        self.retained = 0
        self.deadline = NEVER
        self.dirty.clear()
        self.postponed.clear()
        close_descriptor(&self.spare)

    def _wake(self):
        self.poller.rouse()

    def _add_wakeup(self, int fd):
        self._check_open()
        self.poller.add_wakeup(fd)

    def _remove_wakeup(self, int fd):
        self.poller.remove_wakeup(fd)

    def _retain(self):
        self.retained += 1

    def _release(self):
        self.retained -= 1

    def _set_deadline(self, when):
        self.deadline = NEVER if when is None else min(<double> when, FAR_FUTURE)
        self.poller.set_alarm(self.deadline)

    @cython.final
    cdef int _show_work(self) except -1:
        """Makes a hosted reactor's descriptor readable while there is work that epoll does not know of.

        That includes an overdue timer: the alarm was read in this turn, and may not have been set again.
        """
        if self.poller.alarm < 0 or self.in_turn:
            return 0
        if self.dirty or self.postponed or self.poller.has_work() or self.deadline <= now():
            self.poller.rouse()
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
        cdef PyObject *ready
        cdef uint32_t events
        cdef Source source
        cdef Py_ssize_t handled = 0
        self.in_turn = True
        try:
            if self.dirty:
                self._send_dirty()
            if self.poller.served == self.poller.found:
                self.poller.wait(0 if self.postponed or self.poller.woken else timeout, self.deadline)
            if self.tracking:
                self.moment = moment_of(now())
            while self.poller.served < self.poller.found:
                ready = self.poller.next_ready(&events)
                if ready == NULL:
                    continue
                source = <Source> ready
                handled += 1
                try:
                    source._ready(events)
                except BaseException as error:
                    # An error of one connection, such as a lack of memory, must not end the service of the others.
                    if leaves(error):
                        raise
                    report(error, source)
            source = None
            if self.poller.stale and self.poller.rebuild():
                self._moved()
            if self.deadline != NEVER and self.deadline <= now():
                handled += self._run_timers()
            if self.poller.woken:
                handled += self._run_calls()
                self.poller.woken = False   # last: an interrupt before this has the next turn look again
            if self.dirty:
                self._send_dirty()
            if self.postponed:
                handled += self._run_postponed()
        finally:
            self.in_turn = False
            self._show_work()
        return handled

    def _send_unsent(self):
        """Hands all output to the system; a connection whose output it does not take is reset when it is closed."""
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
            self.dirty[:0] = sources[done:]     # left undone by an interrupt
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
                # From the interrupted source on: it may have more to attend to.
                (<Source> sources[done]).postponed = True
                self.postponed[:0] = sources[done:]
        return done

# `Flow`: both directions of a connection: writing, the limit of unread and unsent data, and the idle timeout.

cdef enum:
    COPY_BELOW = 4096           # smaller writes are joined with the one before, larger ones are queued as they are
    TAIL_LIMIT = 65536          # how far joined writes may grow


cdef enum Owed:                 # what happened while there was no listener for it
    OWED_INPUT = 1
    OWED_END = 2
    OWED_ERROR = 4
    OWED_CLOSE = 8


@cython.no_gc_clear
@cython.auto_pickle(False)
cdef class Flow(Input):
    """Writing within the limit of unread and unsent data, and the idle timeout."""

    cdef int64_t written
    cdef uint32_t moment    # when something was last received or acknowledged, by the reactor's clock
    cdef flag serving       # its own listener runs: output is sent when that returns
    cdef flag resting       # the program wants no input for now
    cdef flag owed          # Owed: events that the first listener has still to get

    @property
    def _buffer_limit(self):
        """The most bytes of unread input and unsent output together."""
        return self._limit()

    @_buffer_limit.setter
    def _buffer_limit(self, Py_ssize_t value):
        self._with_extras().limit = value

    @cython.final
    cdef inline Py_ssize_t _limit(self) noexcept:
        return DEFAULT_LIMIT if self.extras is None else self.extras.limit

    def write(self, data):
        """Queues bytes to be sent. They go out with `flush` or at the end of the reactor's turn.

        Args:
            data: Any bytes-like object. ``bytes`` are kept by reference, a mutable object is copied.

        Returns:
            How many bytes were queued: all of them. Check `congested` afterwards to see whether the peer keeps up.

        Raises:
            IOError: The socket is not connected, `write_eof` was called, or `buffer_limit` would be exceeded (#2002;
                with ENOBUFS for the last reason).
            TypeError: `data` is not bytes-like.
        """
        return self._write(data)

    @cython.final
    cdef object _write(self, data):
        cdef Py_ssize_t count
        cdef bytes chunk
        self._require_output("write")
        chunk = <bytes> data if type(data) is bytes else self._as_bytes(data)
        count = PyBytes_GET_SIZE(chunk)
        if count:
            self._queue(chunk, count)
        return count

    @cython.final
    cdef bytes _as_bytes(self, data):
        cdef bytes copied = PyBytes_FromObject(data) if PyObject_CheckBuffer(data) else self._coerce(data)
        if copied is None:
            raise errors.wrong_type("data", data, "bytes-like")
        self._require_output("write")   # Python code may have run meanwhile
        return copied

    def _require_writable(self, str call not None):
        self._require_output(call)

    @cython.final
    cdef int _require_output(self, str call) except -1:
        self._require(CONNECTED, call)
        if self.outgoing:
            raise errors.invalid_socket(call, "write_eof was called")
        return 0

    @cython.final
    cdef int _queue(self, bytes chunk, Py_ssize_t count) except -1:
        if count > self._limit() - self.pending - self.size or (
            count > self._reactor.limit - self._reactor.kept
        ):
            self._make_room(count)
        if not (self.dirty or self.serving or self.blocked):
            self._reactor.dirty.append(self)
            self.dirty = True
        if self.head is None or not self._queue_behind(chunk, count):
            self.head = chunk
            self.offset = 0
        self.pending += count
        self.written += count
        self._reactor.kept += count
        if self.dirty:
            self._reactor._show_work()
        return 0

    @cython.final
    cdef bint _queue_behind(self, bytes chunk, Py_ssize_t count) except -1:
        """Queues behind what is there; returns False if nothing is there any more."""
        cdef bytearray joined = self._prepare(chunk, count)
        cdef object last
        if self.head is None:
            return False
        last = self._last_joined(count)
        if last is not None:
            (<bytearray> last).extend(chunk)
        else:
            self.more.append(chunk if joined is None else joined)
        return True

    @cython.final
    cdef bytearray _prepare(self, bytes chunk, Py_ssize_t count):
        """Makes the objects that another piece needs; returns that piece if a small write has to begin it.

        Each allocation may have the garbage collector run finalizers, and they may write here, flush or close.
        """
        cdef bytearray joined = None
        cdef list more
        if self.more is None:
            more = []
            if self.more is None:
                self.more = more
        if count < COPY_BELOW and self._last_joined(count) is None:
            joined = bytearray(chunk)
        self._require_output("write")
        return joined

    @cython.final
    cdef object _last_joined(self, Py_ssize_t count):
        """Returns the last piece if a small write of `count` bytes is to be joined to it; else None."""
        cdef object last
        if count >= COPY_BELOW or not self.more:
            return None
        last = self.more[len(self.more) - 1]
        return last if type(last) is bytearray and PyByteArray_GET_SIZE(last) + count <= TAIL_LIMIT else None

    @cython.final
    cdef int _make_room(self, Py_ssize_t count) except -1:
        """Refuses output over a limit unless shedding makes room. A stream with a gap is of no use, so it ends."""
        cdef Py_ssize_t kept = self.pending + self.size
        if count > self._limit() - kept:
            self._fail(system.ENOBUFS)
            raise errors.over_limit("write", count, kept, "buffer_limit", self._limit())
        if not shed(self._reactor, self, count):
            kept = self._reactor.kept
            self._shed()
            raise errors.over_limit("write", count, kept, "reactor.buffer_limit", self._reactor.limit)
        return 0

    @cython.final
    cdef inline Py_ssize_t _room(self, Py_ssize_t size) noexcept:
        """Returns how much of `size` to receive: no more than may be kept, so that a program can still pause then."""
        cdef Py_ssize_t left = self._limit() - self.pending - self.size
        return size if size <= left else max(left, 1)

    @cython.final
    cdef int _crowded(self) except -1:
        """Returns True if unread input is over a limit: then the connection has to end."""
        return self.size + self.pending > self._limit() or (
            self._reactor.kept > self._reactor.limit and not shed(self._reactor, self, 0)
        )

    def _shed(self):
        """Breaks this connection, which keeps more than all others, as there is no room for more."""
        self._check()
        if self.state == FINISHED:
            self._discard()
            return
        self.torn |= self.size > 0
        self._drop_input()
        self._fail(system.ENOBUFS)

    cdef Py_ssize_t _kept(self) noexcept:
        # When it is deallocated, `store` is gone, and unread input with it: no other memory outlives a listener.
        return (0 if self.store is None else self.size) + Output._kept(self)

    cdef bint _idle_too_long(self, uint32_t moment) except -1:
        cdef Extras extras = self.extras
        cdef uint32_t fetched
        cdef int failure
        if extras is None or extras.longest == 0 or self.fd < 0:
            return False
        if <uint32_t> self._sent() != extras.fetched:
            fetched = self._got()
            if fetched != extras.fetched:
                extras.fetched = fetched
                self.moment = moment
        if not self.failure and <uint32_t> (moment - self.moment) >= extras.longest:
            failure = self._why_idle()
            if failure:
                self._fail(failure)
            else:
                self.moment = moment
        return True

    @cython.final
    cdef int _why_idle(self) noexcept:
        """Returns an errno; 0 if input is waiting that was not read yet, because the program was busy with others."""
        cdef char byte
        if self.resting or self.incoming:
            return system.ETIMEDOUT
        if system.recv(self.fd, &byte, 1, system.MSG_PEEK) >= 0 or system.errno == system.EINTR:
            return 0
        return system.ETIMEDOUT if system.errno in (system.EAGAIN, system.EWOULDBLOCK) else system.errno

    @cython.final
    cdef int64_t _sent(self) noexcept:
        """Returns how many bytes of this connection the system has taken."""
        cdef Wire wire = self._wire()
        return self.written - self.pending if wire is None else wire.sent

    @cython.final
    cdef uint32_t _got(self) noexcept:
        """Returns how many bytes the peer has acknowledged, modulo 2 ** 32."""
        return <uint32_t> (self._sent() - self._unfetched())

    def _write_through(self, data):
        """Writes and sends at once, for callers outside this stream's listeners; returns how much is pending then."""
        cdef bint serving = self.serving
        self.serving = True
        try:
            self._write(data)
        finally:
            self.serving = serving
        if not serving:
            self._served()
        return self.pending

    def flush(self):
        """Hands as much queued output to the system as it takes, at once (AIR: ``flush``).

        Raises:
            IOError: The socket is not connected (#2002).
        """
        self._require(CONNECTED, "flush")
        self._send_output()

    def write_eof(self):
        """Ends the output (half-close): the peer gets what is pending, then the end of the stream. Input continues.

        The connection ends when the peer ends its output too. A second call does nothing.

        Raises:
            IOError: The socket is not connected (#2002).

        Example:
            >>> import serversocket
            >>> def ask(event):
            ...     event.target.write(b"all that I have to say")
            ...     event.target.write_eof()
            >>> socket = serversocket.Socket()
            >>> socket.add_event_listener("connect", ask)
        """
        self._require(CONNECTED, "write_eof")
        if self.outgoing == OPEN:
            self.outgoing = ENDING
            if not self.blocked:
                self._transmit()
                self._after_sending()

    @property
    def output_ended(self):
        """True if `write_eof` was called on this connection."""
        return self.outgoing != OPEN

    @cython.final
    cdef int _tell_progress(self) except -1:
        """Dispatches outputProgress."""
        self.progressed = False
        if self.state != CONNECTED:
            return 0
        self.serving = True
        try:
            self._tell(OUTPUT_PROGRESS, self.pending, self.written)
        finally:
            self._served()
            if self.watched and self.interest & system.EPOLLOUT and not self.progressed:
                self._settle()
        return 0

    @cython.final
    cdef int _served(self) except -1:
        """Sends what its own listener has written, while that is still in the processor's cache."""
        self.serving = False
        if not self.dirty:
            self._send_output()
        return 0

    @cython.final
    cdef int _end_output(self) except -1:
        """Tells the peer that nothing more comes."""
        Output._end_output(self)
        if not self.failure and self.incoming == ENDED:
            self._reactor._postpone(self)   # the connection is over; no listener runs inside the program's own call
        return 0

    @cython.final
    cdef int _fail(self, int failure) except -1:
        """Breaks the connection in the last step of the turn: no listener runs inside the program's own call."""
        self.resting = False
        return Output._fail(self, failure)

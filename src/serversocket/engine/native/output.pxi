# `Output`: what the program has written to a connection and is not sent yet, and how it is sent.

cdef Py_ssize_t DEFAULT_LIMIT = CONNECTION_LIMIT

cdef enum:
    CHUNKS_PER_SEND = 64        # pieces of output in one sendmsg
    COPY_BELOW = 4096           # smaller writes behind another are joined, larger ones queued as they are
    TAIL_LIMIT = 65536          # how far joined writes may grow
    MESSAGES_PER_TURN = 1024    # of the system, about what was sent


@cython.no_gc_clear
@cython.auto_pickle(False)
cdef class Output(Input):
    """The writing half of a connection.

    Output is the object being sent (`head`, from `offset`) and those behind it (`more`): `bytes` as the program
    gave them, and bytearrays, known only to this class, in which small writes are joined.
    """

    cdef object head
    cdef Py_ssize_t offset  # how much of `head` is sent
    cdef list more
    cdef Py_ssize_t pending
    cdef int64_t written
    cdef Py_ssize_t leeway  # buffer_limit, as its difference from the usual one: nothing has to be set where it is 0
    cdef uint32_t moment    # when something was last received or fetched, as the reactor's clock had it
    cdef uint32_t longest   # milliseconds that it may be idle; 0: for ever
    cdef uint32_t fetched   # how much of `written` the peer had got when that was last looked at, modulo 2 ** 32
    cdef int failure        # why it is to be broken in the last step of the turn: an errno
    cdef flag outgoing      # the Half that the program writes
    cdef flag serving       # its own listener runs: output is sent when that returns
    cdef flag blocked       # the system takes no more: wait for EPOLLOUT
    cdef flag progressed    # an outputProgress event is due
    cdef flag resting       # the program wants no input for now
    cdef flag guarded       # some output is unsent: whatever closes the descriptor, a kill included, resets

    @property
    def buffer_limit(self):
        """The most bytes of unread input and unsent output that the socket may keep; 256 MiB at first.

        A `write` that would pass it raises, and the connection is broken: the peer must not get a stream with a hole
        in it. Input that the program leaves unread breaks the connection in the same way; what was kept can still be
        read. Its ``ioError`` has ``errno.ENOBUFS``. `congested` and `pause` are for never coming so far: no read
        brings more than there is room for, so a program that pauses when so much is there is in time.

        Raises:
            TypeError: The value is not an integer.
            RangeError: It is not positive (#2006).

        Example:
            >>> import serversocket
            >>> socket = serversocket.Socket()
            >>> socket.buffer_limit = 1024 * 1024
        """
        return DEFAULT_LIMIT + self.leeway

    @buffer_limit.setter
    def buffer_limit(self, value):
        self._check()
        self.leeway = as_limit("buffer_limit", value) - DEFAULT_LIMIT

    @property
    def bytes_pending(self):
        """How many bytes were written and are not sent yet (AIR: ``bytesPending``)."""
        return self.pending

    def write(self, data):
        """Queues bytes to be sent. They go out with `flush` or at the end of the reactor's turn.

        Args:
            data: Any bytes-like object. ``bytes`` are kept by reference, anything mutable is copied.

        Returns:
            How many bytes were queued: all of them. Whether that is more than the peer fetches, `congested` tells then.

        Raises:
            IOError: The socket is not connected, `write_eof` was called, or `buffer_limit` would be passed (#2002, the
                last with ENOBUFS).
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
        if count > DEFAULT_LIMIT + self.leeway - self.pending - self.size or (
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
        """Queues behind what is there; False if nothing is, any more."""
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
        """Makes what a piece behind another one needs; for a small one that has to begin a new piece, that piece.

        Whatever is made may have the garbage collector run finalizers, and they may write here, flush or close.
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
        """The last piece, if a small write of `count` bytes is to be joined to it; else None."""
        cdef object last
        if count >= COPY_BELOW or not self.more:
            return None
        last = self.more[len(self.more) - 1]
        return last if type(last) is bytearray and PyByteArray_GET_SIZE(last) + count <= TAIL_LIMIT else None

    @cython.final
    cdef int _make_room(self, Py_ssize_t count) except -1:
        """Refuses output that is over a limit unless others can make room. The stream would have a hole, so it ends."""
        cdef Py_ssize_t kept = self.pending + self.size
        if count > DEFAULT_LIMIT + self.leeway - kept:
            self._fail(system.ENOBUFS)
            raise errors.over_limit("write", count, kept, "buffer_limit", self.buffer_limit)
        if not self._reactor._relieve(self, count):
            kept = self._reactor.kept
            self._overrun()
            raise errors.over_limit("write", count, kept, "reactor.buffer_limit", self._reactor.limit)
        return 0

    @cython.final
    cdef inline Py_ssize_t _room(self, Py_ssize_t size) noexcept:
        """How much of so much to receive: no more than may be kept, so that a program which pauses then is in time."""
        cdef Py_ssize_t left = DEFAULT_LIMIT + self.leeway - self.pending - self.size
        return size if size <= left else max(left, 1)

    @cython.final
    cdef int _crowded(self) except -1:
        """Whether unread input is over a limit: then the connection has to end."""
        return self.size + self.pending > DEFAULT_LIMIT + self.leeway or (
            self._reactor.kept > self._reactor.limit and not self._reactor._relieve(self, 0)
        )

    cdef int _overrun(self) except -1:
        if self.state == FINISHED:
            return self._discard()
        self.torn |= self.size > 0
        self._drop_input()
        return self._fail(system.ENOBUFS)

    cdef Py_ssize_t _kept(self) noexcept:
        # When it is deallocated, `store` is gone: what is there lay in it, for nothing else outlives a listener.
        return (0 if self.store is None else self.size) + self.offset + self.pending

    cdef bint _idle_too_long(self, uint32_t moment) except -1:
        cdef uint32_t fetched
        cdef int failure
        if self.longest == 0 or self.fd < 0:
            return False
        if <uint32_t> (self.written - self.pending) != self.fetched:
            fetched = self._got()
            if fetched != self.fetched:
                self.fetched = fetched
                self.moment = moment
        if not self.failure and <uint32_t> (moment - self.moment) >= self.longest:
            failure = self._why_idle()
            if failure:
                self._fail(failure)
            else:
                self.moment = moment
        return True

    @cython.final
    cdef int _why_idle(self) noexcept:
        """An errno; 0 if something has come that there was no time to read, for the program was busy with others."""
        cdef char byte
        if self.resting or self.incoming:
            return system.ETIMEDOUT
        if system.recv(self.fd, &byte, 1, system.MSG_PEEK) >= 0 or system.errno == system.EINTR:
            return 0
        return system.ETIMEDOUT if system.errno in (system.EAGAIN, system.EWOULDBLOCK) else system.errno

    @cython.final
    cdef uint32_t _got(self) noexcept:
        """How much the peer has got of what was written, modulo 2 ** 32."""
        return <uint32_t> (self.written - self.pending - self._unfetched())

    @cython.final
    cdef int _unfetched(self) noexcept:
        """How much the system has taken that is still on its way to the peer."""
        cdef int count = 0
        system.ioctl(self.fd, system.SIOCOUTQ, &count)
        return count

    @cython.final
    cdef void _empty_error_queue(self) noexcept:
        """Drops what the system tells of sent data where the program has asked it to: it is EPOLLERR until it is read.

        That is timestamps, or the end of a transfer without a copy. No event of this library has a place for them.
        """
        cdef system.msghdr message
        cdef int _
        system.memset(&message, 0, sizeof(message))
        for _ in range(MESSAGES_PER_TURN):
            if system.recvmsg(self.fd, &message, system.MSG_ERRQUEUE) < 0:
                return

    def _write_through(self, data):
        """As `write`, for who is no listener of this stream: it is sent at once. Returns how much is pending then."""
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
        """Hands queued output to the system at once, as much as it takes (AIR: ``flush``).

        Raises:
            IOError: The socket is not connected (#2002).
        """
        self._require(CONNECTED, "flush")
        self._send_output()

    def write_eof(self):
        """Ends the output: the peer gets what is pending, and then its end of the stream. Input goes on.

        The connection is over when the peer ends its output too. Called again, it does nothing.

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
        """Whether `write_eof` was called on this connection."""
        return self.outgoing != OPEN

    @cython.final
    cdef int _end_output(self) except -1:
        """Tells the peer that nothing more comes."""
        self.outgoing = ENDED
        if system.shutdown(self.fd, system.SHUT_WR) < 0:
            # It was connected, so it is the peer that has reset it.
            return self._fail(system.ECONNRESET if system.errno == system.ENOTCONN else system.errno)
        if self.incoming == ENDED:
            self._reactor._postpone(self)   # the connection is over, which nobody hears of inside his own call
        return 0

    @cython.final
    cdef int _transmit(self) except -1:
        """Sends what the system takes, without calling into the program."""
        cdef ssize_t sent
        cdef Py_ssize_t offered
        if self.failure:
            if not self.progressed:         # first, the program is told how much was pending
                self._drop_output()         # what is broken says no more: something may be missing before this
            return 0
        while self.pending:
            sent = self._send_some(&offered)
            if sent < 0:
                if system.errno == system.EAGAIN or system.errno == system.EWOULDBLOCK:
                    self._block()
                else:
                    self._fail(system.errno)
                return 0
            if heard(self, OUTPUT_PROGRESS):
                self.progressed = True
            self._take_off(sent)
            if sent < offered:
                self._block()           # more would only be refused
                return 0
        if self.guarded:
            self.blocked = False
            self._guard(False)
        if self.outgoing == ENDING:
            self._end_output()
        return 0

    @cython.final
    cdef void _block(self) noexcept:
        self.blocked = True
        if not self.guarded:
            self._guard(True)

    @cython.final
    cdef void _guard(self, bint on) noexcept:
        """Has the system reset the connection if the descriptor is closed, by whatever, before all output is sent.

        So the peer never takes a part for the whole, even if this process is killed.
        """
        self.guarded = on
        reset_when_closed(self.fd, on)

    @cython.final
    cdef inline ssize_t _send_some(self, Py_ssize_t *offered) except -2:
        """What the system took of what was offered to it; -1 and `errno` if nothing."""
        cdef ssize_t sent
        if self.more:
            return self._send_several(offered)
        offered[0] = self.pending
        while True:
            sent = system.send(self.fd, _contents(self.head) + self.offset, self.pending, system.MSG_NOSIGNAL)
            if sent >= 0 or system.errno != system.EINTR:
                return sent

    @cython.final
    cdef ssize_t _send_several(self, Py_ssize_t *offered) except -2:
        cdef system.iovec pieces[CHUNKS_PER_SEND]
        cdef system.msghdr message
        cdef ssize_t sent
        cdef Py_ssize_t index, count = min(len(self.more) + 1, <Py_ssize_t> CHUNKS_PER_SEND)
        pieces[0].iov_base = _contents(self.head) + self.offset
        pieces[0].iov_len = offered[0] = _length(self.head) - self.offset
        for index in range(1, count):
            chunk = self.more[index - 1]
            pieces[index].iov_base = _contents(chunk)
            pieces[index].iov_len = _length(chunk)
            offered[0] += pieces[index].iov_len
        system.memset(&message, 0, sizeof(message))
        message.msg_iov = pieces
        message.msg_iovlen = count
        while True:
            sent = system.sendmsg(self.fd, &message, system.MSG_NOSIGNAL)
            if sent >= 0 or system.errno != system.EINTR:
                return sent

    @cython.final
    cdef int _take_off(self, Py_ssize_t count) except -1:
        """Takes what was sent off the queue. A piece of which some is left is kept whole, and counts so."""
        cdef Py_ssize_t index, done = 0
        self.pending -= count
        count += self.offset
        if self.pending == 0:
            self._reactor.kept -= count
            self.head = None
            self.more = None
            self.offset = 0
            return 0
        while count >= _length(self.head):
            self._reactor.kept -= _length(self.head)
            count -= _length(self.head)
            self.head = self.more[done]
            done += 1
        self.offset = count
        try:
            if done:
                del self.more[:done]
        except MemoryError:
            for index in range(done):
                self.more[index] = b""      # goes with the next
        return 0

    @cython.final
    cdef int _drop_output(self) except -1:
        if self.pending:
            self._reactor.kept -= self.offset + self.pending
        self.head = None
        self.more = None
        self.offset = self.pending = 0
        self.blocked = self.progressed = False
        return 0

    cdef int _send_output(self) except -1:
        if self.pending and not self.blocked:
            self._transmit()
            self._after_sending()
        return 0

    @cython.final
    cdef int _after_sending(self) except -1:
        """Registers the wait for EPOLLOUT and asks for the due event."""
        # Settled already where nothing was left, nothing was waited for, and not the output alone kept it alive. Who
        # hears of progress may write more: EPOLLOUT stays until then.
        if self.watched and (
            self.blocked or self.listeners is None or (self.interest & system.EPOLLOUT and not self.progressed)
        ):
            self._settle()
        if self.progressed:
            self._reactor._postpone(self)   # last: memory may run out
        return 0

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
        """Sends what its own listener wrote, while it is still in the processor's cache."""
        self.serving = False
        if not self.dirty:
            self._send_output()
        return 0

    cdef int _settle(self) except -1:
        """Registers what follows from the state, once the program's call has returned."""
        return 0

    @cython.final
    cdef int _fail(self, int failure) except -1:
        """Breaks the connection in the last step of the turn: nobody hears of it from inside his own call."""
        self.failure = failure
        self.resting = False
        if not self.progressed or failure == system.ENOBUFS:
            self._drop_output()     # else when the program was told how much was pending
        self._reactor._postpone(self)
        return 0

    @cython.final
    cdef void _reset(self) noexcept:
        """Makes the close that follows a reset."""
        reset_when_closed(self.fd, True)


cdef inline char *_contents(chunk) noexcept:
    return PyByteArray_AS_STRING(chunk) if type(chunk) is bytearray else PyBytes_AS_STRING(chunk)


cdef inline Py_ssize_t _length(chunk) noexcept:
    return PyByteArray_GET_SIZE(chunk) if type(chunk) is bytearray else PyBytes_GET_SIZE(chunk)

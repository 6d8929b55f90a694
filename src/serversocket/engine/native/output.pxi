# `Output`: the queue of a connection's pending output, and how it is sent.

cdef enum:
    CHUNKS_PER_SEND = 64        # pieces of output in one call of sendmsg
    MESSAGES_PER_TURN = 1024    # of the system's error queue


cdef enum Half:             # of a connection: one of its two directions
    OPEN = 0
    ENDING = 1              # output that is still pending is the last
    ENDED = 2               # nothing more comes


@cython.no_gc_clear
@cython.auto_pickle(False)
cdef class Output(Source):
    """The pending output of a connection: a queue.

    It is the object being sent (`head`, from `offset`) and those behind it (`more`): `bytes` as the program
    gave them, and bytearrays, known only to this class, in which small writes are joined.
    """

    cdef object head
    cdef Py_ssize_t offset  # how much of `head` is sent
    cdef list more
    cdef Py_ssize_t pending
    cdef int failure        # an errno: the connection is broken for it in the last step of the turn
    cdef flag outgoing      # the Half that the program writes
    cdef flag blocked       # the system takes no more: wait for EPOLLOUT
    cdef flag progressed    # an outputProgress event is due
    cdef flag guarded       # some output is unsent: closing the descriptor, even by a kill, resets the connection

    @cython.final
    cdef inline Wire _wire(self):
        """The state of its filter; None without one."""
        return self.extras.wire if self.filtered else None

    @cython.final
    cdef inline bint _unsent(self) noexcept:
        """Returns True if the system has not taken all output."""
        return self.pending or (self.filtered and self.extras.wire.left())

    @property
    def _bytes_kept(self):
        """Returns how many bytes it keeps for the program, as the reactor has counted them."""
        return self._kept()

    cdef Py_ssize_t _kept(self) noexcept:
        # What a filter has made of output counts as that output here; `Wire` knows the difference.
        return self.offset + self.pending

    def _shed(self):
        """Breaks this connection, which keeps more than all others, as there is no room for more."""
        self._check()
        self._fail(system.ENOBUFS)

    @property
    def bytes_pending(self):
        """How many bytes were written but not sent yet (AIR: ``bytesPending``)."""
        return self.pending

    @cython.final
    cdef int _unfetched(self) noexcept:
        """Returns how much the system has taken and the peer has not acknowledged."""
        cdef int count = 0
        system.ioctl(self.fd, system.SIOCOUTQ, &count)
        return count

    @cython.final
    cdef void _empty_error_queue(self) noexcept:
        """Drops the system's messages about sent data, which the program has asked for: until read, they are EPOLLERR.

        They are timestamps, or the end of a transfer without a copy. No event of this library has a place for them.
        """
        cdef system.msghdr message
        cdef int _
        system.memset(&message, 0, sizeof(message))
        for _ in range(MESSAGES_PER_TURN):
            if system.recvmsg(self.fd, &message, system.MSG_ERRQUEUE) < 0:
                return

    cdef int _end_output(self) except -1:
        """Tells the peer that nothing more comes."""
        self.outgoing = ENDED
        if system.shutdown(self.fd, system.SHUT_WR) < 0:
            # It was connected, so the peer has reset it.
            return self._fail(system.ECONNRESET if system.errno == system.ENOTCONN else system.errno)
        return 0

    @cython.final
    cdef int _transmit(self) except -1:
        """Sends what the system takes, without calling code of the program."""
        cdef ssize_t sent
        cdef Py_ssize_t offered
        if self.failure:
            if not self.progressed:         # first, a listener hears how much was pending
                self._drop_output()         # a broken connection sends nothing more: output before this may be missing
            return 0
        if self.filtered:
            return self._transmit_filtered()
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
                self._block()           # the system would refuse more
                return 0
        if self.guarded:
            self.blocked = False
            self._guard(False)
        if self.outgoing == ENDING:
            self._end_output()
        return 0

    @cython.final
    cdef int _transmit_filtered(self) except -1:
        cdef Wire wire = self._wire()
        return wire.transmit(self)

    @cython.final
    cdef void _block(self) noexcept:
        self.blocked = True
        if not self.guarded:
            self._guard(True)

    @cython.final
    cdef void _guard(self, bint on) noexcept:
        """Has the system reset the connection if the descriptor is closed in any way before all output is sent.

        So the peer never takes a truncated stream for a complete one, even if this process is killed.
        """
        self.guarded = on
        reset_when_closed(self.fd, on)

    @cython.final
    cdef inline ssize_t _send_some(self, Py_ssize_t *offered) except -2:
        """Returns how much of the offered output the system has taken; -1 with `errno` if none."""
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
        """Takes what was sent off the queue. A partly sent piece is kept whole, and counts so."""
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
                self.more[index] = b""      # dropped with the next
        return 0

    @cython.final
    cdef int _drop_filtered(self) except -1:
        cdef Wire wire = self._wire()
        self.pending -= wire.taken
        return wire.drop()

    @cython.final
    cdef bytes _next_piece(self, Py_ssize_t most):
        """Takes the first bytes off the queue, for a filter; they are pending until they are sent."""
        cdef Py_ssize_t size = _length(self.head), count = min(size - self.offset, most)
        cdef object head = self.head
        cdef bytes piece
        if count == size and type(head) is bytes:
            piece = <bytes> head
        else:
            piece = PyBytes_FromStringAndSize(_contents(head) + self.offset, count)
        if self.offset + count < size:
            self.offset += count
            return piece
        self._reactor.kept -= size
        self.offset = 0
        self.head = self.more[0] if self.more else None
        if self.more:
            del self.more[0]
        return piece

    @cython.final
    cdef int _drop_output(self) except -1:
        if self.filtered:
            self._drop_filtered()
        if self.pending:
            self._reactor.kept -= self.offset + self.pending
        self.head = None
        self.more = None
        self.offset = self.pending = 0
        self.blocked = self.progressed = False
        return 0

    cdef int _send_output(self) except -1:
        if (self.pending or self.filtered) and not self.blocked:
            self._transmit()
            self._after_sending()
        return 0

    @cython.final
    cdef int _after_sending(self) except -1:
        """Registers the wait for EPOLLOUT and asks for the due event."""
        # Settled already if nothing was left, nothing was waited for, and not the output alone kept it alive. A
        # listener of progress may write more: EPOLLOUT stays until then.
        if self.watched and (
            self.blocked or self.listeners is None or (self.interest & system.EPOLLOUT and not self.progressed)
        ):
            self._settle()
        if self.progressed:
            self._reactor._postpone(self)   # last: memory may run out
        return 0

    cdef int _settle(self) except -1:
        """Registers what follows from the state, once the program's call has returned."""
        return 0

    cdef int _fail(self, int failure) except -1:
        """Breaks the connection in the last step of the turn: no listener runs inside the program's own call."""
        self.failure = failure
        if not self.progressed or failure == system.ENOBUFS:
            self._drop_output()     # else when the program was told how much was pending
        self._reactor._postpone(self)
        return 0

    @cython.final
    cdef void _reset(self) noexcept:
        """Makes the close that follows a reset; where a filter has said its last, it stays an end."""
        if not (self.filtered and self.extras.wire.said):
            reset_when_closed(self.fd, True)


cdef inline char *_contents(chunk) noexcept:
    return PyByteArray_AS_STRING(chunk) if type(chunk) is bytearray else PyBytes_AS_STRING(chunk)


cdef inline Py_ssize_t _length(chunk) noexcept:
    return PyByteArray_GET_SIZE(chunk) if type(chunk) is bytearray else PyBytes_GET_SIZE(chunk)

# `Lingerer`: sends the rest of a connection that the program has closed.

@cython.final
@cython.no_gc_clear
@cython.auto_pickle(False)
cdef class Lingerer(Output):
    """Owns the descriptor of a stream that was closed before a plain close of the descriptor was safe.

    It sends the pending output, ends the output, and closes when the peer does, or a while after the peer has
    acknowledged everything. A peer that acknowledges nothing for a while is reset. Meanwhile input is read and dropped:
    with unread input, a close would make the system reset the connection and drop the output that is not acknowledged.
    """

    cdef object timer       # checks that the peer still acknowledges
    cdef list waiting       # callbacks for when the system has taken everything, or takes no more; None without any
    cdef object patience    # how long it may take
    cdef bint ended         # the peer's output is at its end
    cdef bint told          # the peer was told that nothing more comes

    cdef int _settle(self) except -1:
        cdef uint32_t interest = 0 if self.ended else system.EPOLLIN | system.EPOLLRDHUP
        if self.fd < 0:
            return 0
        self._hold(True)
        if not self._unsent():
            self._tell_waiting()
        try:
            if self._unsent():
                interest |= system.EPOLLOUT
            elif self.ended:
                return self._discard()
            elif not self.told:
                self.told = True
                if self.outgoing != ENDED:
                    checked(system.shutdown(self.fd, system.SHUT_WR))
            if self.timer is None:
                self._time()
                if self.fd < 0:
                    return self._discard()  # Python code has run, and closed the reactor
            self._reactor.poller.watch(self, interest)
        except (OSError, MemoryError):
            self._reset()       # nothing would ever wake it; the peer must not take this for the end
            self._discard()
        return 0

    def _when_sent(self, callback):
        """Calls `callback`, which must run no code of the program, once the system has all output, or takes no more."""
        if self.waiting is None:
            self.waiting = []
        self.waiting.append(callback)

    def abort(self):
        """Drops the pending output and resets the connection."""
        self._check()
        if self.fd >= 0:
            self._reset()
            self._discard()

    @cython.final
    cdef int _tell_waiting(self) except -1:
        cdef list waiting = self.waiting
        self.waiting = None
        if waiting is not None:
            for callback in waiting:
                callback()
        return 0

    cdef int _time(self) except -1:
        if self.patience is None:
            self.patience = Patience()
        self.timer = self._reactor.call_later(self.patience.begin(self._unfetched_in_all()), self._look)
        return 0

    def _look(self):
        cdef int64_t left = self._unfetched_in_all()
        if not self.patience.is_over(left):
            self.timer = None
            self._settle()
            return
        if left:
            self._reset()
        self._discard()

    @cython.final
    cdef int64_t _unfetched_in_all(self) noexcept:
        """Returns how many bytes the peer has not acknowledged."""
        return self.pending + self._unfetched() + (self.extras.wire.left() if self.filtered else 0)

    cdef int _ready(self, uint32_t events) except -1:
        if events & ~<uint32_t> system.EPOLLOUT:
            self._waste()
        if events & system.EPOLLERR:
            self._empty_error_queue()
        if self.blocked and events & system.EPOLLOUT:
            self.blocked = False
            self._transmit()
        return self._settle()

    cdef int _waste(self) except -1:
        """Reads input and drops it."""
        cdef ssize_t count
        cdef int _
        for _ in range(READS_PER_TURN):
            count = system.recv(self.fd, self._reactor.landing(), READ_SIZE, 0)
            if count < 0 and system.errno in (system.EINTR, system.EAGAIN, system.EWOULDBLOCK):
                return 0
            if count <= 0:
                self.ended = True
                if count < 0:
                    self._drop_output()
                return 0
        return 0

    cdef int _attend(self) except -1:
        self._reset()               # a send has failed: the peer has gone; or too much is kept
        return self._discard()

    cdef int _discard(self) except -1:
        timer = self.timer
        self.timer = None
        self._drop_output()
        self._shut()
        if timer is not None and not self._reactor.dead:
            timer.cancel()
        self._tell_waiting()
        return 0

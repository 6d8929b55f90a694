# `Filter`: a layer between a connection's descriptor and its program. `Wire`: the state of a connection with a filter.

cdef enum:
    PIECE = 65536               # bytes of output that a filter is given at once
    LAST_READS = 16             # of what comes behind the error, before the connection is closed
    WIRE_LIMIT = 262144         # bytes: while so many wait for the system, no more output is filtered


@cython.auto_pickle(False)
cdef class Filter:
    """A layer between the descriptor of a connection and its program: TLS, a compression, a header in front.

    The connection calls its methods, from its reactor, and uses the bytes that they return; a filter does no I/O of its
    own. This class passes all bytes unchanged: a subclass overrides what it needs. An exception of one of its methods
    breaks the connection: ``ioError`` reports an `OSError`; any other exception becomes an ``uncaughtError``, too.

    `last_words` are sent then, if the system takes them at once: the connection ends behind them instead of being
    reset. A connection that ends before `connect` counts in `turned_away`, unless the filter is `uncounted`.

    Example:
        >>> class Rot13(Filter):
        ...     def received(self, data):
        ...         return data.translate(TABLE)
        ...
        ...     def written(self, data):
        ...         return data.translate(TABLE)
    """

    cdef public bint holding
    cdef public bint over
    cdef public bint input_ended
    cdef public Filter successor
    cdef public bytes last_words
    cdef public bint uncounted
    cdef list outbox

    def send(self, bytes data not None):
        """Sends bytes of the filter's own, from inside one of its methods, ahead of the bytes that this returns."""
        if self.outbox is None:
            self.outbox = []
        self.outbox.append(data)

    def started(self):
        """Called when the connection is made.

        Returns:
            Bytes to send before any output.
        """
        return b""

    def received(self, data):
        """Called when bytes have arrived.

        Args:
            data: The bytes that the peer has sent; empty if `Stream._ask_filter` was called.

        Returns:
            The program's input that they make.
        """
        return data

    def written(self, data):
        """Called for output once the system has room for it.

        Args:
            data: Bytes that the program has written.

        Returns:
            The bytes to send for them.
        """
        return data

    def ended(self):
        """Called when the peer has ended its output. Raises an error if that is too early.

        Returns:
            The last of the input.
        """
        return b""

    def closing(self):
        """Called when the program has ended its output, and `written` has got all of it.

        Returns:
            Bytes to send after it.
        """
        return b""

    def dropped(self, error):
        """The connection has ended, and `connect` will not follow.

        Args:
            error: Why; None where its server was closed.
        """


@cython.final
@cython.no_gc_clear
@cython.auto_pickle(False)
cdef class Wire:
    """The state that only connections with a filter need: the filter, and the bytes that it has made of output.

    Output stays as the program wrote it until the system has room. It is pending until the last byte that the filter
    has made of it is with the system.
    """

    cdef Reactor reactor
    cdef Filter filter
    cdef Acceptor server        # its `connect` waits for the filter; None for a client, and afterwards
    cdef bytearray made         # what the filter has made of output, from `offset` on
    cdef Py_ssize_t offset
    cdef Py_ssize_t taken       # how much of the output that is pending the filter has got
    cdef list records           # of that: how much, and where in `queued` it ends
    cdef int64_t queued         # bytes of the wire, of this connection
    cdef int64_t sent
    cdef int64_t received
    cdef object error           # the OSError that the filter has raised
    cdef flag vacant            # no filter is left
    cdef flag held              # `connect` was not dispatched yet
    cdef flag entering          # it is due
    cdef flag asked             # `received` is to be called without bytes
    cdef flag closing           # the filter knows that output ends
    cdef flag busy              # the filter is being asked
    cdef flag end_waits         # the peer has ended its output, which is told after `connect`, or after a pause
    cdef flag live              # the connection was there before: `_secured` waits, and input goes on in a pause
    cdef flag said              # the last words are sent
    cdef object reason          # the OSError for which there will be no `connect`

    def __cinit__(self, Reactor reactor not None, Filter filter not None):
        self.reactor = reactor
        self.filter = filter
        self.made = bytearray()
        self.records = []
        self.held = filter.holding

    def __dealloc__(self):
        # Its connection is deallocated after it, and treats all that is pending as unfiltered.
        self.reactor.kept += self.taken - self.left()

    cdef inline Py_ssize_t left(self) noexcept:
        """How many bytes wait for the system."""
        return PyByteArray_GET_SIZE(self.made) - self.offset

    cdef bint stands(self, Output stream, Filter filter) noexcept:
        """Returns True if, after a call of the filter, it is still the one of an open connection."""
        return stream.fd >= 0 and stream.filtered and stream.extras.wire is self and self.filter is filter

    cdef bint urgent(self) noexcept:
        """Returns True if what comes is read although the program has paused."""
        return self.live and self.held

    # ---- output

    cdef int add(self, made) except -1:
        """Queues what the filter has returned, behind what it has sent of its own."""
        cdef list outbox = self.filter.outbox
        if type(made) is not bytes:
            raise errors.wrong_type("what a filter returns", made, "bytes")
        self.filter.outbox = None
        for data in outbox or ():
            self.append(data)
        return self.append(made)

    cdef int append(self, bytes data) except -1:
        self.made.extend(data)
        self.queued += PyBytes_GET_SIZE(data)
        self.reactor.kept += PyBytes_GET_SIZE(data)
        return 0

    cdef int let_out(self, Output stream) except -1:
        """What was written before there was a filter leaves as it is."""
        cdef bytes piece
        while stream.pending > self.taken:
            piece = stream._next_piece(PIECE)
            self.taken += PyBytes_GET_SIZE(piece)
            self.append(piece)
            self.records.append((PyBytes_GET_SIZE(piece), self.queued))
        return 0

    cdef bint fill(self, Output stream) except -1:
        """Has the filter make something to send; returns False if that has broken or closed the connection."""
        cdef Filter filter = self.filter
        cdef bytes piece
        try:
            while not (filter.holding or self.held) and self.left() < WIRE_LIMIT and stream.pending > self.taken:
                piece = stream._next_piece(PIECE)
                self.taken += PyBytes_GET_SIZE(piece)
                self.busy = True
                made = filter.written(piece)
                self.busy = False
                if not self.stands(stream, filter):
                    return False
                self.add(made)
                self.records.append((PyBytes_GET_SIZE(piece), self.queued))
            if stream.outgoing == ENDING and not (self.closing or filter.holding) and stream.pending == self.taken:
                self.closing = self.busy = True
                made = filter.closing()
                self.busy = False
                if not self.stands(stream, filter):
                    return False
                self.add(made)
        except BaseException as error:
            self.failed(stream, error)
            return False
        return True

    cdef int transmit(self, Output stream) except -1:
        """Does the same as `Output._transmit`, with what the filter makes."""
        cdef ssize_t count
        cdef Py_ssize_t left
        if self.busy:
            return 0                        # it goes on when that returns
        while True:
            if not self.fill(stream):
                return 0
            left = self.left()
            if left == 0:
                break
            count = system.send(
                stream.fd, PyByteArray_AS_STRING(self.made) + self.offset, left, system.MSG_NOSIGNAL
            )
            if count < 0:
                if system.errno == system.EINTR:
                    continue
                if system.errno == system.EAGAIN or system.errno == system.EWOULDBLOCK:
                    stream._block()
                else:
                    stream._fail(system.errno)
                return 0
            self.gone(stream, count)
            if count < left:
                stream._block()
                return 0
        self.gone(stream, 0)                # what the filter has made nothing of
        if stream.pending:                  # the filter holds it back
            if not stream.guarded:
                stream._guard(True)
            return 0
        if stream.guarded:
            stream.blocked = False
            stream._guard(False)
        if stream.outgoing == ENDING and self.closing:
            stream._end_output()
        return 0

    cdef int gone(self, Output stream, Py_ssize_t count) except -1:
        """Notes that the system has taken `count` bytes."""
        cdef Py_ssize_t size, done = 0
        self.sent += count
        self.offset += count
        self.reactor.kept -= count
        if self.left() == 0:
            self.made = bytearray()
            self.offset = 0
        elif self.offset > PIECE:
            del self.made[:self.offset]
            self.offset = 0
        for size, end in self.records:
            if end > self.sent:
                break
            done += 1
            self.taken -= size
            stream.pending -= size
            if heard(stream, OUTPUT_PROGRESS):
                stream.progressed = True
        del self.records[:done]
        return 0

    cdef int drop(self) except -1:
        """Drops what is not sent yet."""
        self.reactor.kept -= self.left()
        self.made = bytearray()
        self.records = []
        self.offset = self.taken = 0
        return 0

    # ---- input

    cdef int arrived(self, Stream stream, const char *data, Py_ssize_t count) except -1:
        """Bytes have come."""
        self.received += count
        return self.hand_on(stream, PyBytes_FromStringAndSize(data, count), False)

    cdef int ended(self, Stream stream) except -1:
        """The peer has ended its output."""
        self.filter.input_ended = True
        self.hand_on(stream, b"", True)
        if self.held and not self.live and not self.entering and stream.fd >= 0 and not stream.failure:
            return self.refuse(stream)      # before there was all that `connect` waits for
        return 0

    cdef int hand_on(self, Stream stream, bytes data, bint at_end) except -1:
        """Has the filter turn the bytes into input, and delivers that."""
        cdef Filter filter = self.filter
        try:
            self.busy = True
            made = filter.ended() if at_end else filter.received(data)
            self.busy = False
            if not self.stands(stream, filter):
                return 0
            if type(made) is not bytes:
                raise errors.wrong_type("what a filter returns", made, "bytes")
            self.add(b"")
        except BaseException as error:
            return self.failed(stream, error)
        if filter.over:
            return self.leave(stream, made)
        if not filter.holding and self.held and not self.entering:
            self.enter(stream)
        if made:
            stream._arrived_filtered(made)
        if filter.input_ended and not at_end and self.stands(stream, filter) and stream.incoming == OPEN:
            if stream.resting:
                self.end_waits = True
            else:
                stream._input_ends(0)
        return 0

    cdef int leave(self, Stream stream, bytes rest) except -1:
        """Removes the filter at its own request: another one takes its place, or none is left."""
        cdef Filter successor = self.filter.successor
        if successor is not None:
            self.filter = successor
            try:
                self.add(successor.started())
            except BaseException as error:
                return self.failed(stream, error)
            return self.hand_on(stream, rest, False) if rest else 0
        if self.held and not self.entering:
            self.enter(stream)
        self.filter = Filter()              # for what it has made and the system has not taken, and until `connect`
        self.vacant = True
        self.vacate(stream)
        if rest:
            stream._arrived_filtered(rest)
        return 0

    cdef int vacate(self, Stream stream) except -1:
        """Removes the empty filter and the wire if nothing needs them any more."""
        if self.vacant and not self.held and not self.taken and not self.left() and stream.filtered:
            stream._remove_filter()
        return 0

    # ---- `connect`

    cdef int enter(self, Stream stream) except -1:
        """Called when the filter lets `connect` follow, in the last step of this turn."""
        self.entering = True
        if self.server is not None:
            self.server._let_in(stream)
        else:
            stream._reactor._postpone(stream)
        return 0

    cdef int refuse(self, Stream stream) except -1:
        """Resets the peer, as `connect` will not follow. A server counts it, a client gets an event."""
        cdef int code = stream.failure or system.ECONNRESET
        self.reason = self.error or OSError(code, os.strerror(code))
        stream._reset()
        if self.server is not None:
            self.server.refused += not self.filter.uncounted
            return stream._close_here()
        stream._discard()
        stream._refused(self.reason)
        return 0

    # ---- errors

    cdef int failed(self, Output stream, error) except -1:
        """Breaks the connection in the last step of the turn, after the filter has raised."""
        cdef int code = system.ECONNABORTED
        self.busy = False
        if isinstance(error, OSError):
            self.error = error
            code = error.errno or system.EPROTO
        if isinstance(stream, Stream):
            (<Stream> stream).torn = True   # nothing that comes now could be read
        self.say_last(stream)
        if stream.fd >= 0 and not stream.failure:
            stream._fail(code)
        if leaves(error):
            raise error
        if self.error is not error:
            report(error, stream)
        return 0

    cdef int say_last(self, Output stream) except -1:
        """Sends the filter's last words, if the system takes them at once; then no reset has to follow."""
        cdef bytes words = self.filter.last_words
        cdef char *memory
        cdef Py_ssize_t size
        cdef int _
        if not words or stream.fd < 0:
            return 0
        for data in self.filter.outbox or ():
            self.append(data)
        self.filter.outbox = None
        self.append(words)
        size = self.left()
        memory = PyByteArray_AS_STRING(self.made) + self.offset
        self.said = system.send(stream.fd, memory, size, system.MSG_NOSIGNAL) == size
        self.reactor.kept -= size
        self.made = bytearray()
        self.offset = 0
        if self.said:
            reset_when_closed(stream.fd, False)
            system.shutdown(stream.fd, system.SHUT_WR)
            for _ in range(LAST_READS):     # closed over unread input, the system would reset it after all
                if system.recv(stream.fd, self.reactor.landing(), READ_SIZE, 0) <= 0:
                    break
        return 0

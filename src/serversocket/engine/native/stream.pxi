# Connections: `Stream`.

cdef enum:
    SURELY_ARRIVED = 16384      # bytes: about what the system sends at once to a peer that has acknowledged nothing yet


@cython.no_gc_clear
@cython.auto_pickle(False)
cdef class Stream(Receiver):
    """A connection: its life, from the accept or the connect to the end. The public class is `serversocket.Socket`."""

    cdef Address peer
    cdef Address local      # set once FINISHED; until then the system is asked
    cdef flag no_delay
    cdef flag half_open     # the connection goes on after the peer's end of output
    cdef flag fragile       # an exception of a listener breaks the connection

    # ---- state

    @property
    def connected(self):
        """True if the socket is connected (AIR: ``connected``)."""
        return self.state == CONNECTED

    @property
    def _opened(self):
        """True if there is something to close."""
        return self.state == CONNECTED or self.state == CONNECTING

    @property
    def remote_address(self):
        """The peer's IP address, or ``None`` (AIR: ``remoteAddress``); it remains after the peer has left."""
        return host_of(&self.peer) if self.state >= CONNECTED else None

    @property
    def remote_port(self):
        """The peer's port, or 0 (AIR: ``remotePort``); it remains after the peer has left."""
        return port_of(&self.peer) if self.state >= CONNECTED else 0

    @property
    def local_address(self):
        """The IP address of this end, or ``None`` (AIR: ``localAddress``); it remains after the peer has left."""
        cdef Address address
        return host_of(&address) if self._local_address(&address) else None

    @property
    def local_port(self):
        """The port of this end, or 0 (AIR: ``localPort``); it remains after the peer has left."""
        cdef Address address
        return port_of(&address) if self._local_address(&address) else 0

    @cython.final
    cdef bint _local_address(self, Address *address) noexcept:
        cdef system.socklen_t length = sizeof(Address)
        if self.state == FINISHED:
            address[0] = self.local
            return address.head.sa_family != 0
        return self.state == CONNECTED and system.getsockname(self.fd, &address.head, &length) == 0

    @property
    def tcp_no_delay(self):
        """True if small writes are sent at once, without Nagle's algorithm (AIR: ``tcpNoDelay``).

        The default is False, as in AIR: a small write that follows another one may wait, up to 40 ms, until the peer
        has acknowledged that. In asyncio, trio, Go and `serversocket.aio` it is on. Turn it on if the program writes
        several times in a row, at different moments, without waiting for an answer. The setting also applies to later
        connections of this socket.

        Example:
            >>> import serversocket
            >>> def connected(event):
            ...     event.socket.tcp_no_delay = True
            >>> server = serversocket.ServerSocket()
            >>> server.add_event_listener("connect", connected)
        """
        return bool(self.no_delay)

    @tcp_no_delay.setter
    def tcp_no_delay(self, value):
        self._check()
        self.no_delay = bool(value)
        if self.state == CONNECTED:
            self._apply_no_delay()

    @cython.final
    cdef int _apply_no_delay(self) except -1:
        cdef int on = self.no_delay
        checked(system.setsockopt(self.fd, system.IPPROTO_TCP, system.TCP_NODELAY, &on, sizeof(on)))
        return 0

    cdef int _listening_changed(self, kind) except -1:
        if self.fd >= 0:
            self._hold(self.listeners is not None or self._unsent())
        if self.size and kind == TYPES[SOCKET_DATA] and listeners_of(self, SOCKET_DATA) is not None:
            self.owed |= OWED_INPUT
        if self.owed and self._reactor._serves():
            self._reactor._postpone(self)
        return 0

    @cython.final
    cdef int _pay(self) except -1:
        """Dispatches what happened before there was a listener, in the order in which it happened."""
        if self.owed & OWED_INPUT and not self.resting:
            self.owed &= ~OWED_INPUT
            if self.size:
                self.serving = True
                try:
                    self._tell(SOCKET_DATA, self.size, 0)
                finally:
                    self._served()
        if self.owed & OWED_END and listeners_of(self, END) is not None:
            self.owed &= ~OWED_END
            self._tell(END, 0, 0)
        if self.owed & OWED_ERROR and listeners_of(self, IO_ERROR) is not None:
            self.owed &= ~OWED_ERROR
            self._broken(self.failure, "recv")
        if self.owed & OWED_CLOSE and listeners_of(self, CLOSE) is not None:
            self.owed &= ~OWED_CLOSE
            self._tell(CLOSE, 0, 0)
        return 0

    cdef int _settle(self) except -1:
        """Registers what follows from the state, once the program's call has returned."""
        if self.fd < 0:
            return 0
        self._hold(self.listeners is not None or self._unsent())
        try:
            # A hangup is reported unasked; edge-triggered only once, so a paused connection does not spin.
            self._reactor.poller.watch(
                self,
                (
                    system.EPOLLET if (self.resting and not self._urgent()) or self.incoming
                    else system.EPOLLIN | system.EPOLLRDHUP
                )
                | (system.EPOLLOUT if self.blocked else 0),
            )
        except OSError as error:
            self._fail(error.errno)
        return 0

    cdef int _discard(self) except -1:
        """Closes without events, and forgets input and output."""
        self._shut()
        self.state = CLOSED
        self.incoming = self.outgoing = OPEN
        self.failure = self.owed = 0
        self.resting = False
        self._drop_input()
        self._drop_output()
        if self.filtered:
            self._remove_filter()
        return 0

    cdef int _attend(self) except -1:
        cdef int failure = self.failure
        if self.progressed:
            self._tell_progress()
        if self.filtered:
            self._attend_to_filter()
        if self.owed:
            self._pay()
        if self.filtered:
            self._end_that_waited()
        if failure and self.fd >= 0:
            if failure != system.ENOBUFS:       # over the limit, nothing more is read
                self._receive(failure)
            if self.state == CONNECTED:
                self._finish(failure, self._culprit(failure))
        elif self.incoming == ENDED and self.outgoing == ENDED and self.state == CONNECTED:
            self._finish(0, "")
        return 0

    @cython.final
    cdef str _culprit(self, int failure):
        if failure == system.ENOMEM and self.torn:
            return "recv"
        if failure == system.ETIMEDOUT and self.extras is not None and self.extras.longest:
            return "idle"
        return "send"

    # ---- flow

    @property
    def _half_open(self):
        """True if the connection stays open for output when the peer has ended its own."""
        return bool(self.half_open)

    @_half_open.setter
    def _half_open(self, bint value):
        self.half_open = value

    @property
    def input_ended(self):
        """True if the peer has ended its output: no more input arrives."""
        return self.incoming == ENDED or self.state == FINISHED

    def pause(self):
        """Stops reading: no ``socketData`` until `resume`. The system's buffers fill, then the peer has to wait.

        If the peer closes or resets the connection, the event follows after `resume`, behind the last bytes. Only a
        failed send ends the pause: the event follows at once, and input that had arrived stays readable. A new
        connection is not paused. A second call does nothing.

        Raises:
            IOError: The socket is not connected (#2002).

        Example:
            >>> import serversocket
            >>> def forward(event):
            ...     target.write(event.target.read())
            ...     if target.congested:
            ...         event.target.pause()  # until target's outputProgress resumes it
            >>> source, target = serversocket.Socket(), serversocket.Socket()
            >>> source.add_event_listener("socketData", forward)
        """
        self._require(CONNECTED, "pause")
        if not self.failure and not self.resting:
            self.resting = True
            self._settle()

    def resume(self):
        """Continues reading after `pause`. Does nothing if the socket is not paused.

        Raises:
            IOError: The socket is not connected (#2002).
        """
        self._require(CONNECTED, "resume")
        if self.resting:
            self.resting = False
            self._settle()
            if self.owed or self.filtered:
                self._reactor._postpone(self)

    @property
    def _fragile(self):
        """True if an exception of a listener breaks the connection."""
        return bool(self.fragile)

    @_fragile.setter
    def _fragile(self, bint value):
        self.fragile = value

    cdef int _listener_failed(self) except -1:
        if self.fragile and self.state == CONNECTED and not self.failure:
            self._fail(system.ECONNABORTED)
        return 0

    @property
    def paused(self):
        """True if `pause` was called, and `resume` was not called since."""
        return bool(self.resting)

    def _set_longest(self, uint32_t milliseconds):
        """Sets how long it may be idle from now on; 0 for no limit."""
        self._check()
        self._with_extras().longest = milliseconds
        if milliseconds:
            self._reactor._track_idle()
            self.moment = self._reactor.moment
            self.extras.fetched = self._got()

    def _set_option(self, int level, int name, int value):
        """Sets a numeric option of the system's socket; raises an OSError if the system refuses it."""
        self._check()
        checked(system.setsockopt(self.fd, level, name, &value, sizeof(value)))

    @cython.final
    cdef int _input_ends(self, int failure) except -1:
        """Handles the peer's end of output: AIR closes the connection then; a half-open one continues."""
        cdef int fd = self.fd
        cdef uint32_t slot = self.slot
        if self.filtered and not (failure or self.failure):
            if not self._input_ends_filtered() or self.fd != fd or self.slot != slot or self.state != CONNECTED:
                return 0
        if not (failure or self.failure) and (self.pending or self.progressed):
            self._send_output()
            if self.progressed:
                self._tell_progress()       # of what was written before the end became known
                if self.fd != fd or self.slot != slot or self.state != CONNECTED or self.resting:
                    return 0
        failure = failure or self.failure   # the system reports a reset once only, perhaps to a send
        if failure or not self.half_open:
            return self._finish(failure, self._culprit(failure))
        self.incoming = ENDED
        if listeners_of(self, END) is None:
            self.owed |= OWED_END
        try:
            self._tell(END, 0, 0)
        finally:
            if self.fd == fd and self.slot == slot and self.state == CONNECTED:
                if self.outgoing == ENDED and not self.failure:
                    self._finish(0, "")
                else:
                    self._settle()
        return 0

    @cython.final
    cdef bint _input_ends_filtered(self) except -1:
        """Asks the filter for the last of the input; returns False if the end has to wait for `connect`."""
        cdef Wire wire = self._wire()
        if not (wire.held and wire.entering) and not wire.filter.input_ended:
            wire.ended(self)
        if wire.held and wire.entering:
            wire.end_waits = True
            return False
        return True

    @cython.final
    cdef int _finish(self, int failure, str call) except -1:
        """The peer has closed, or the connection broke."""
        cdef int fd = self.fd
        cdef uint32_t slot = self.slot
        if self.filtered and self.extras.wire.held and not self.extras.wire.live:
            return self._refuse()
        if self.progressed:
            self._tell_progress()       # of what was sent before that became known
            if self.fd != fd or self.slot != slot or self.state != CONNECTED:
                return 0
        if not self._local_address(&self.local):
            self.local.head.sa_family = 0
        if failure == 0 and self.filtered and self.outgoing == OPEN:
            self.outgoing = ENDING      # the filter may add bytes after the last output
        if failure == 0 and (self.pending or self.filtered):
            self._transmit()
        if failure == 0 and self.failure:
            failure = self.failure
            call = self._culprit(failure)
        if failure:
            self._reset()       # whatever the reason was, the peer must not take this for the end of the stream
        elif self._unsent():
            self._linger(ended=True)
            if self.state != CONNECTED:
                return 0        # Python code has run, and closed it
        self._shut()
        self._drop_output()
        self.failure = 0
        self.resting = False
        self.state = FINISHED
        try:
            if failure and listeners_of(self, IO_ERROR) is not None:
                self._broken(failure, call)
            elif failure:
                self.failure = failure
                self.owed |= OWED_ERROR
        finally:
            if self.state == FINISHED:
                if listeners_of(self, CLOSE) is None:
                    self.owed |= OWED_CLOSE
                self._tell(CLOSE, 0, 0)
        if self.state == FINISHED and self.size:
            self._reactor.finished[id(self)] = self
        return 0

    # ---- the end

    def close(self):
        """Closes after sending the pending output (AIR: ``close``). Unread input is dropped; there is no event.

        Raises:
            IOError: The socket is not open (#2002).
        """
        self._end()

    def _close(self):
        """As `close`; returns the `Lingerer` that still sends, or None if the system has taken everything."""
        lingerer = self._linger(self.incoming == ENDED) if self._has_to_linger() else None
        self._close_here()
        return lingerer

    @cython.final
    cdef int _end(self) except -1:
        if self._has_to_linger():
            self._linger(self.incoming == ENDED)
        return self._close_here()

    @cython.final
    cdef bint _has_to_linger(self) except -1:
        """Prepares the close; returns True if a Lingerer has to send the rest."""
        if self._reactor_is_dead():
            return False
        self._check()
        if self.state == CONNECTING:
            return False
        self._require(CONNECTED, "close")
        if self.filtered:
            return self._has_to_linger_filtered()
        if self.pending and not self.blocked:
            self._transmit()
        if self.failure:
            self._reset()
            return False
        return self.pending or (self.written and self._would_lose())

    @cython.final
    cdef bint _has_to_linger_filtered(self) except -1:
        # Nothing was sent yet, or a method of the filter closes it, and output that it has taken would be missing.
        if self.extras.wire.held or self.extras.wire.busy:
            self._reset()
            return False
        if self.outgoing == OPEN:
            self.outgoing = ENDING
        if not self.blocked:
            self._transmit()
        if self.fd < 0:
            return False                # the filter has closed it
        if self.failure:
            self._reset()
            return False
        return self._unsent() or (self._sent() and self._would_lose())

    @cython.final
    cdef int _refuse(self) except -1:
        cdef Wire wire = self._wire()
        return wire.refuse(self)

    cdef void _abandon(self) noexcept:
        """Closes a collected connection as with `close`, if the reactor can still send the rest.

        It is being deallocated, and its fields that are objects are cleared already. Pending output has kept it alive
        for as long as the reactor lived.
        """
        if self.pending or self.filtered:   # a filter would have had more to send
            self._reset()
        elif self.written and self._reactor._serves() and self._would_lose():
            try:
                self._linger(self.incoming == ENDED)
            except Exception:
                pass    # the reactor is being collected with it, and has lost its timers
        self._shut()

    @cython.final
    cdef bint _would_lose(self) noexcept:
        """Returns True if a plain close might lose output that was sent to the peer.

        The system resets a connection that is closed with unread input, or that input arrives at afterwards, and drops
        the output that the peer has not received. If all output of the connection was small, it counts as received.
        """
        cdef char byte
        return system.recv(self.fd, &byte, 1, system.MSG_PEEK) > 0 or (
            (self.extras.wire.sent if self.filtered else self.written) > SURELY_ARRIVED
            and self.incoming == OPEN
            and self._unfetched() > 0
        )

    def abort(self):
        """Drops the pending output and resets the connection; the peer sees an error. There is no event.

        Raises:
            IOError: The socket is not connected (#2002).
        """
        self._require(CONNECTED, "abort")
        self._reset()
        self._close_here()

    @cython.final
    cdef Lingerer _linger(self, bint ended=False):
        """Hands the descriptor and the pending output to a Lingerer."""
        cdef Lingerer lingerer = Lingerer.__new__(Lingerer)
        cdef int fd = self.fd   # only now: each allocation may have the garbage collector run finalizers
        if fd < 0:
            return None
        lingerer._reactor = self._reactor
        lingerer.tally = self.tally
        self.tally = None
        lingerer.quiet = True
        if self._unsent():
            lingerer.head = self.head
            lingerer.more = self.more
            lingerer.offset = self.offset
            lingerer.pending = self.pending
            lingerer.outgoing = self.outgoing
            self.offset = self.pending = 0
            lingerer.guarded = self.guarded
            self.guarded = False
            if self.filtered:
                lingerer._with_extras().wire = self.extras.wire
                lingerer.filtered = True
                self.filtered = False
                self.extras.wire = None
        self._let_go()
        lingerer._own_or_close(fd)      # with unsent output, the close resets
        lingerer.blocked = lingerer._unsent()
        lingerer.ended = ended
        lingerer._settle()
        return lingerer

    # ---- connecting

    def _begin_connecting(self):
        self._check()
        self._drop_input()
        self._reactor.finished.pop(id(self), None)
        self.incoming = self.outgoing = OPEN
        self.failure = self.owed = 0
        self.state = CONNECTING

    def _connecting_failed(self):
        self.state = CLOSED

    def _adopt(self, Connector connector not None):
        cdef int fd = connector.fd
        cdef system.socklen_t length
        self._check()
        if fd < 0 or connector._reactor is not self._reactor or self.state == CONNECTED:
            raise RuntimeError("there is no connection to take over")
        self._drop_input()
        self._drop_output()
        self.torn = False
        self.resting = self.guarded = False
        self.written = 0
        if self.extras is not None:
            self.extras.fetched = 0
            self._remove_filter()
        connector._let_go()
        self.state = CLOSED
        self._own_or_close(fd)
        self.state = CONNECTED
        connector.callback = None
        self.peer = connector.address
        length = sizeof(Address)
        system.getpeername(self.fd, &self.peer.head, &length)   # the address that was asked for may be "0.0.0.0"
        self.moment = self._reactor.moment
        try:
            if self.no_delay:
                self._apply_no_delay()
            self._connection_made()
        except OSError as error:
            self._fail(error.errno)
        self._tell_connect()

    @cython.final
    cdef int _tell_connect(self) except -1:
        try:
            if not self.filtered or not self.extras.wire.held:
                self._tell(CONNECT, 0, 0)
        finally:
            self._settle()
        return 0

    @cython.final
    cdef int _attend_to_filter(self) except -1:
        cdef Wire wire = self._wire()
        wire.vacate(self)
        if wire.asked and not self.failure:
            wire.asked = False
            wire.hand_on(self, b"", False)
        if wire.entering and wire.server is None and wire.held and self.state == CONNECTED and not self.failure:
            wire.held = False
            if wire.live:
                self._settle()
                self._secured()
            else:
                self._tell_connect()
            self._after_connect()
        if self.fd >= 0:
            self._send_output()
        return 0

    @cython.final
    cdef int _after_connect(self) except -1:
        """Delivers what arrived before `connect`."""
        cdef Wire wire = self._wire()
        if wire is None:
            return 0
        wire.entering = False
        wire.vacate(self)
        if self.size and self.state == CONNECTED:
            self.owed |= OWED_INPUT
            if listeners_of(self, SOCKET_DATA) is not None:
                self._pay()
        return self._end_that_waited()

    @cython.final
    cdef int _end_that_waited(self) except -1:
        """Tells of the peer's end, for which it was too early."""
        cdef Wire wire = self._wire()
        if wire is not None and wire.end_waits and self.state == CONNECTED:
            if not (wire.held or self.resting or self.failure):
                wire.end_waits = False
                self._input_ends(0)
        return 0

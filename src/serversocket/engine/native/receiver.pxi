# `Receiver`: receives a connection's input, through a filter if there is one, and delivers it to listeners.

cdef enum:
    READS_AT_THE_END = 1024     # of a broken connection, which has no other turn


@cython.no_gc_clear
@cython.auto_pickle(False)
cdef class Receiver(Flow):
    """Receiving from the descriptor, and delivery to the listeners of socketData."""

    cdef int _input_ends(self, int failure) except -1:
        """Handles the peer's end of output."""
        return 0

    cdef int _finish(self, int failure, str call) except -1:
        """The peer has closed, or the connection broke."""
        return 0

    cdef str _culprit(self, int failure):
        """Returns the name of the call that an error is reported for."""
        return ""

    cdef int _ready(self, uint32_t events) except -1:
        cdef int fd = self.fd
        cdef uint32_t slot = self.slot
        if self.incoming == ENDED:
            if events & (system.EPOLLHUP | system.EPOLLERR):
                self._hung_up()
        elif events & ~<uint32_t> system.EPOLLOUT and not (self.resting and not self._urgent()):
            self.serving = True
            try:
                self._receive(0 if not events & (system.EPOLLRDHUP | system.EPOLLHUP | system.EPOLLERR) else -1)
            finally:
                self._served()
            if events & system.EPOLLERR and self.fd == fd and self.slot == slot and not self.resting:
                self._empty_error_queue()
        if events & system.EPOLLOUT and self.blocked and self.fd == fd and self.slot == slot:
            self.blocked = False
            self._transmit()
            if self.progressed:
                self._tell_progress()
            elif self.state == CONNECTED:
                self._settle()
        return 0

    @cython.final
    cdef int _hung_up(self) except -1:
        """Handles a hangup after the peer has ended its output: nothing that is sent arrives any more."""
        cdef char nothing
        if self.outgoing == ENDED:
            return self._finish(0, "")
        self._empty_error_queue()
        if system.send(self.fd, &nothing, 0, system.MSG_NOSIGNAL) < 0 and system.errno not in (
            system.EINTR, system.EAGAIN, system.EWOULDBLOCK
        ):
            self._finish(system.errno, "send")
        return 0

    @cython.final
    cdef bint _first_read(self) except -1:
        """Tries a speculative read, without a readiness notification; returns True if there was input."""
        cdef char *memory
        cdef Py_ssize_t room
        cdef ssize_t count
        if self.state != CONNECTED or self.resting:
            return False
        if not self.filtered and (self.lent is not None or not heard(self, SOCKET_DATA)):
            return False
        memory = self._reactor.landing()
        room = self._room(READ_SIZE)
        count = system.recv(self.fd, memory, room, 0)
        if count < 0 and system.errno in (system.EAGAIN, system.EWOULDBLOCK):
            return False
        self.serving = True
        try:
            self._received(memory, count, room, 0)
        finally:
            self._served()
        return True

    @cython.final
    cdef int _receive(self, int ending) except -1:
        """Reads and delivers, within the limits of a turn.

        Args:
            ending: Not 0 if the end is known to follow: then a short read is not the last one. A positive number is
                the errno of a failed send, which the system reports once only: it is the reason for the end.
        """
        cdef char *memory
        cdef Py_ssize_t room
        cdef bint more
        cdef int _
        for _ in range(READS_PER_TURN if ending <= 0 else READS_AT_THE_END):
            if self.torn:
                # The first time, memory may have run out.
                return self._fail(self.failure or system.ENOMEM) if ending <= 0 else 0
            # The last reads must hold all that is left, and what a filter gets is not for the program.
            if self.lent is None or ending > 0 or self.filtered:
                memory = self._reactor.landing()
                room = READ_SIZE if ending > 0 else self._room(READ_SIZE)
                more = self._received(memory, system.recv(self.fd, memory, room, 0), room, ending)
            else:
                more = self._receive_lent(ending)
            if not more:
                return 0
        return 0

    @cython.final
    cdef bint _receive_lent(self, int ending) except -1:
        """Receives into `read_buffer`, which is locked until its listeners have returned; returns True to go on.

        If the buffer is written in Python, its code runs when it is opened and released, and may close the socket.
        """
        cdef Py_buffer view
        cdef Py_ssize_t room
        cdef ssize_t count
        cdef int code, fd = self.fd
        cdef bint more
        if not self._open_lent(&view):
            return self.fd == fd and self.state == CONNECTED
        room = self._room(view.len)
        count = system.recv(fd, view.buf, room, 0)
        if count <= 0:
            code = system.errno
            PyBuffer_Release(&view)
            system.errno = code
            return self.fd == fd and self._received(NULL, count, 1, ending)
        try:
            more = self._received(<char *> view.buf, count, room, ending)
        finally:
            PyBuffer_Release(&view)
        return more and self.fd == fd

    @cython.final
    cdef bint _open_lent(self, Py_buffer *view) except -1:
        """Opens `read_buffer`; returns False if it is not usable, and is dropped, or if opening it has closed this."""
        cdef int fd = self.fd
        try:
            open_buffer("read_buffer", self.lent, view)
        except BaseException as error:
            if leaves(error):
                raise
            self.lent = None
            report(error, self)
            return False
        if view.len == 0 or self.fd != fd:
            if view.len == 0:
                self.lent = None
            PyBuffer_Release(view)
            return False
        return True

    @cython.final
    cdef bint _received(self, char *memory, ssize_t count, Py_ssize_t room, int ending) except -1:
        """Delivers the result of a `recv`; returns True to go on."""
        cdef uint32_t slot = self.slot
        cdef uint32_t generation = self._reactor.poller.slots[slot].generation
        if count <= 0:
            if count == 0:
                self._input_ends(max(ending, 0))
            elif system.errno == system.EINTR:
                return True
            elif system.errno != system.EAGAIN and system.errno != system.EWOULDBLOCK:
                self._recv_failed(system.errno)
            return False
        if self.filtered:
            self._arrived_on_wire(memory, count)
        else:
            self._arrived(memory, count)
        if self.slot != slot or self._reactor.poller.slots[slot].generation != generation:
            return False
        if self.resting and ending <= 0:
            return False
        return count == room or ending

    @cython.final
    cdef int _recv_failed(self, int code) except -1:
        """Returns the failure to report: of two the earlier one."""
        if self.failure:
            return self._finish(self.failure, self._culprit(self.failure))
        return self._finish(code, "recv")

    @cython.final
    cdef int _arrived(self, char *data, Py_ssize_t count) except -1:
        """Delivers new input to the listeners of socketData, and keeps what they leave unread."""
        cdef tuple entries = listeners_of(self, SOCKET_DATA)
        self.moment = self._reactor.moment
        if self.size or entries is None:
            if not self._append_input(data, count):
                return self._finish(system.ENOMEM, "recv")
            if entries is None:
                return self._finish(system.ENOBUFS, "recv") if not self.failure and self._crowded() else 0
        else:
            self.data = data
            self.size = count
        try:
            self._tell_listeners(entries, SOCKET_DATA, count, 0)
        finally:
            if self.size:
                self._keep_input()
        return 0

    @cython.final
    cdef int _arrived_on_wire(self, const char *data, Py_ssize_t count) except -1:
        cdef Wire wire = self._wire()
        return wire.arrived(self, data, count)

    @cython.final
    cdef int _arrived_filtered(self, bytes data) except -1:
        """As `_arrived`, for input that a filter has made; before `connect` it is kept."""
        cdef Wire wire = self._wire()
        cdef Py_ssize_t size = PyBytes_GET_SIZE(data), done = 0
        cdef Py_ssize_t count
        cdef int fd = self.fd
        if wire is not None and wire.held:
            if not self._append_input(PyBytes_AS_STRING(data), size):
                return self._finish(system.ENOMEM, "recv")
            return self._finish(system.ENOBUFS, "recv") if not self.failure and self._crowded() else 0
        while done < size:
            if self.lent is None or self.failure:
                return self._arrived(PyBytes_AS_STRING(data) + done, size - done)
            count = self._arrived_in_lent(PyBytes_AS_STRING(data) + done, size - done)
            if self.fd != fd or self.state != CONNECTED:
                return 0
            done += count
            if done < size and self.resting:
                self.owed |= OWED_INPUT
                if not self._append_input(PyBytes_AS_STRING(data) + done, size - done):
                    return self._finish(system.ENOMEM, "recv")
                return 0
        return 0

    @cython.final
    cdef Py_ssize_t _arrived_in_lent(self, const char *data, Py_ssize_t size) except -1:
        """Delivers through `read_buffer`, as much as it holds; returns how much that was, 0 if it is not usable."""
        cdef Py_buffer view
        cdef Py_ssize_t count
        if not self._open_lent(&view):
            return 0
        count = min(view.len, size)
        system.memcpy(view.buf, data, count)
        try:
            self._arrived(<char *> view.buf, count)
        finally:
            PyBuffer_Release(&view)
        return count

    @cython.final
    cdef int _keep_input(self) except -1:
        """Moves unread input out of memory that is about to be used again."""
        cdef char *data = self.data
        cdef Py_ssize_t size = self.size
        if self.store is None:
            self._drop_input()
            if not self._append_input(data, size):
                return self._finish(system.ENOMEM, "recv")
        if self.state == CONNECTED and not self.failure and self._crowded():
            self._finish(system.ENOBUFS, "recv")
        return 0

    cdef int _input_lost(self) except -1:
        self.torn = True
        return self._fail(system.ENOMEM)

    # ---- the filter

    @cython.final
    cdef bint _urgent(self) noexcept:
        """Returns True if what comes is read although the program has paused."""
        return self.filtered and self.extras.wire.urgent()

    def _install(self, Filter filter not None, bint live=False):
        """Puts a filter between the descriptor and this connection, which has none.

        Args:
            filter: The filter. While it holds, `connect` waits.
            live: The connection was told already: `_secured` is called in place of `connect`.
        """
        cdef Extras extras
        cdef Wire wire
        self._require(CONNECTED, "install")
        extras = self._with_extras()
        wire = Wire.__new__(Wire, self._reactor, filter)
        if self.filtered:
            raise RuntimeError("there is a filter already")
        extras.wire = wire
        self.filtered = True
        wire.live = live
        wire.let_out(self)
        try:
            wire.add(filter.started())
        except BaseException as error:
            wire.failed(self, error)
            return
        if live:
            self._settle()
        if wire.left() and not self.dirty and self.fd >= 0:
            self._reactor.dirty.append(self)
            self.dirty = True
            self._reactor._show_work()

    @cython.final
    cdef int _remove_filter(self) except -1:
        cdef Wire wire = self._wire()
        self.filtered = False
        self.extras.wire = None
        if wire is not None and wire.server is not None:
            wire.server._forget_held(self, wire)
        return 0

    def _ask_filter(self):
        """Has the filter's `received` called without bytes, in the last step of this turn or the next one."""
        cdef Wire wire = self._wire()
        if wire is not None and self.fd >= 0:
            wire.asked = True
            self._reactor._postpone(self)

    @property
    def _filter_error(self):
        """The error that the filter has raised; None if it has not."""
        cdef Wire wire = self._wire()
        return None if wire is None else wire.error

    @property
    def _wire_counts(self):
        """How many bytes were received and sent, as the filter has them; None without one."""
        cdef Wire wire = self._wire()
        return None if wire is None else (wire.received, wire.sent)

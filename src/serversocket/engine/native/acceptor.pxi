# `Acceptor`: a listening socket, which accepts connections.

cdef enum:
    ACCEPTS_PER_TURN = 64       # of one acceptor, so that a flood of clients cannot starve the connections
    LUCK = 8                    # speculative reads without input, in succession, before they are given up
    TRY_YOUR_LUCK = 16          # then one connection in so many gets a speculative read


@cython.no_gc_clear
@cython.auto_pickle(False)
cdef class Acceptor(Source):
    """A listening socket. The public class is `serversocket.ServerSocket`."""

    cdef type socket_class
    cdef bint _listening_now
    cdef bint paused
    cdef Tally counter          # counts the open connections that it has accepted
    cdef Py_ssize_t most        # how many of them may be open at once; 0: any number
    cdef Py_ssize_t refused     # clients that were closed at once
    cdef bint deferring         # the system reports clients only when they have sent something
    cdef object admission       # called for the filter of each client; None: no filters
    cdef dict held              # clients whose `connect` waits for their filters, by id, oldest first
    cdef list entering          # those of them for whom it is due
    cdef int luck               # how many speculative reads without input are still allowed
    cdef uint32_t accepted

    def __cinit__(self):
        self.socket_class = Stream
        self.held = {}
        self.entering = []
        self.counter = Tally.__new__(Tally)

    @property
    def _socket_class(self):
        return self.socket_class

    @_socket_class.setter
    def _socket_class(self, type cls not None):
        if not issubclass(cls, Stream):
            raise TypeError(f"an accepted connection must become a Stream, not {cls!r}")
        self.socket_class = cls

    @property
    def _admission(self):
        """Called with each accepted stream before its ``connect``; returns its `Filter`, or None."""
        return self.admission

    @_admission.setter
    def _admission(self, value):
        self.admission = value

    @property
    def bound(self):
        """True if the socket is bound to a local address and port (AIR: ``bound``)."""
        return self.fd >= 0

    @property
    def listening(self):
        """True if the socket listens for connections (AIR: ``listening``)."""
        return self._listening_now

    @property
    def connections(self):
        """How many of the accepted connections are open, including closed ones that still send their last output."""
        return self.counter.open

    @property
    def _most_connections(self):
        """How many may be open at once; 0 for any number."""
        return self.most

    @_most_connections.setter
    def _most_connections(self, Py_ssize_t value):
        self.most = value

    @property
    def turned_away(self):
        """How many clients were closed at once: they exceeded `max_connections`, or no descriptor was left."""
        return self.refused

    def _take(self, int fd, bint listening):
        """Takes over a descriptor that is bound, and perhaps listens; if this raises, the caller still owns it."""
        self._check()
        self._own(fd)
        self._listening_now = listening
        try:
            self._settle()
        except BaseException:
            self._listening_now = False
            self._let_go()
            raise

    def _listen(self, bint deferring):
        """Begins to accept: the descriptor listens now, and the system shows clients late if `deferring`."""
        self._check()
        self.deferring = deferring
        self._listening_now = True
        try:
            self._settle()
        except BaseException:
            self._listening_now = self.watched
            raise

    def _close(self):
        if not self._reactor_is_dead():
            self._check()
            if self.fd < 0:
                raise errors.not_open("close")
        self._close_here()

    def _pause(self):
        self.paused = True
        self._settle()

    def _resume(self):
        self.paused = False
        self._settle()

    cdef int _discard(self) except -1:
        cdef Stream stream
        self._listening_now = self.paused = False
        self._shut()
        self.entering = []
        while self.held:
            _, stream = self.held.popitem()
            stream._discard()
        return 0

    cdef int _listening_changed(self, kind) except -1:
        try:
            return self._settle()
        except OSError as error:
            self._store(kind, ())   # it was the first listener of its type, or the last
            raise errors.invalid_socket("epoll_ctl", "", error) from None

    cdef int _settle(self) except -1:
        """Registers what follows from the state: it accepts nothing before there is a listener of `connect`."""
        if self.fd < 0:
            return 0
        self._hold(self.listeners is not None)
        if self._listening_now:
            self._reactor.poller.watch(
                self, system.EPOLLIN if not self.paused and heard(self, CONNECT) else 0
            )
        return 0

    cdef int _ready(self, uint32_t events) except -1:
        cdef Address peer
        cdef system.socklen_t length
        cdef int fd, _, code = 0, failures = 0
        cdef tuple entries
        if events & (system.EPOLLHUP | system.EPOLLERR) and self._gone():
            return 0
        for _ in range(ACCEPTS_PER_TURN):
            entries = listeners_of(self, CONNECT)
            if not self._listening_now or self.paused or entries is None:
                return self._settle()   # reported unasked: a change of the registration has failed
            length = sizeof(Address)
            fd = system.accept4(self.fd, &peer.head, &length, system.SOCK_NONBLOCK | system.SOCK_CLOEXEC)
            if fd < 0:
                code = system.errno
                if code == system.EAGAIN or not self._accept_goes_on(code):
                    return 0
                failures += 1
                continue
            if self.most and self.counter.open >= self.most:
                system.close(fd)
                self.refused += 1
                continue
            self._accepted(fd, &peer, entries)
        if failures == ACCEPTS_PER_TURN:
            self._accept_failed(code, True)     # an error of one client's that concerns all of them
        return 0

    @cython.final
    cdef int _accepted(self, int fd, Address *peer, tuple entries) except -1:
        """Dispatches `connect` for a new client or, if `fd` is negative, for the next one that was held back.

        All in one function: making the connection in another one costs 40 instructions.
        """
        cdef PyObject *made
        cdef Stream stream
        cdef Event event
        cdef bint interrupted = True
        if fd >= 0:
            made = new_instance(self.socket_class, ())
            if made == NULL:
                system.close(fd)
                pending_error()
            made_stream = <object> made
            Py_DECREF(made_stream)
            if not self._listening_now:
                system.close(fd)    # making it has run code that closed the server
                return 0
            if not isinstance(made_stream, Stream) or (<Stream> made_stream)._reactor is not None:
                system.close(fd)
                raise TypeError(f"{self.socket_class.__name__}.__new__() did not make a new Stream")
            stream = <Stream> made_stream
            made_stream = None
            stream._reactor = self._reactor
            stream.quiet = True
            stream.fd = fd      # from here on, it is closed with the stream in any case
            self._reactor.poller.enroll(stream, fd)
            stream.tally = self.counter
            self.counter.open += 1
            stream.peer = peer[0]
            stream.state = CONNECTED
            if self.admission is not None and not self._admit(stream):
                return 0
        else:
            stream = self.entering.pop(0)
        stream.serving = True
        event = take_event(CLIENT)
        event.subject = stream
        try:
            self._deliver(event, entries)
            interrupted = False
        finally:
            give_back(event, CLIENT)
            event = None
            try:
                stream._served()
            finally:
                # A stream without listeners and other references goes with this one, and is closed at once.
                stream.quiet = stream.listeners is None and only_reference(<PyObject *> stream)
                if not stream.quiet:
                    self._begin(stream, interrupted or fd < 0)
                elif stream.pending or stream.filtered:
                    stream._end()
        if fd < 0 and stream.filtered and stream.state == CONNECTED:
            stream._after_connect()
        return 0

    @cython.final
    cdef bint _admit(self, Stream stream) except -1:
        """Gives a client its filter; returns False if that holds `connect` back, or has ended the connection."""
        cdef Wire wire
        try:
            filter = self.admission(stream)
            if filter is not None and stream.fd >= 0:
                stream._install(filter)
        except BaseException as error:
            stream._reset()
            self.refused += 1
            stream._discard()
            if leaves(error):
                raise
            report(error, self)
            return False
        wire = stream._wire()
        if not self._listening_now or stream.fd < 0:
            stream._discard()           # the program has closed it, or the server
            return False
        if wire is None or not wire.held:
            return True
        wire.server = self
        self.held[id(stream)] = stream
        stream._settle()
        if self.deferring:
            stream._first_read()
        return False

    @cython.final
    cdef int _let_in(self, Stream stream) except -1:
        """Has `connect` follow, in the last step of the turn."""
        self.entering.append(stream)
        self._reactor._postpone(self)
        return 0

    @cython.final
    cdef int _forget_held(self, Stream stream, Wire wire) except -1:
        """Forgets a client that ended while its `connect` was held back."""
        wire.server = None
        self.held.pop(id(stream), None)
        if stream in self.entering:
            self.entering.remove(stream)
        return self._tell_dropped(wire)

    @cython.final
    cdef int _tell_dropped(self, Wire wire) except -1:
        try:
            wire.filter.dropped(wire.reason)
        except BaseException as error:
            if leaves(error):
                raise
            report(error, self)
        return 0

    cdef int _attend(self) except -1:
        cdef Stream stream
        cdef Wire wire
        while self.entering:
            stream = self.entering[0]
            wire = stream._wire()
            wire.server = None
            wire.held = False
            self.held.pop(id(stream), None)
            entries = listeners_of(self, CONNECT)
            if entries is None or stream.failure:
                del self.entering[0]
                stream._reset()
                self.refused += 1
                stream._discard()       # no listener is left, or the filter has raised
                wire.reason = wire.error
                self._tell_dropped(wire)
                continue
            stream = None       # so that a stream without listeners and other references is closed
            self._accepted(-1, NULL, entries)
        return 0

    @cython.final
    cdef int _begin(self, Stream stream, bint interrupted) except -1:
        """Begins to read, with a speculative read if clients of this server usually have sent something by then.

        They have if the client sends first, and the server accepts it only after others. Input that is read here needs
        no wait, and a connection that ends with its first answer never meets epoll.
        """
        self.accepted += 1
        try:
            if not interrupted and (self.deferring or self.luck or self.accepted % TRY_YOUR_LUCK == 0):
                self.luck = LUCK if stream._first_read() else max(self.luck - 1, 0)
        finally:
            stream._settle()
        return 0

    @cython.final
    cdef bint _accept_goes_on(self, int code) except -1:
        """Acts on a failed accept; returns True if the next one may be tried in this turn."""
        action = action_for(code)
        if action is Action.RETRY:
            return True
        if action is Action.DONE or (action is Action.GONE and self._gone()):
            return False
        self._accept_failed(code, action is not Action.SHED or not self._shed())
        return False

    @cython.final
    cdef bint _shed(self) except -1:
        """Tells waiting clients that no descriptor is left: accepts with the spare one and closes.

        Returns True if that works. Where it does not, because another process was quicker to take the descriptor or the
        system has none at all, only time helps.
        """
        cdef int fd, code, _
        cdef Reactor reactor = self._reactor
        for _ in range(ACCEPTS_PER_TURN):
            if reactor.spare >= 0:
                system.close(reactor.spare)
            fd = system.accept4(self.fd, NULL, NULL, system.SOCK_NONBLOCK | system.SOCK_CLOEXEC)
            code = system.errno
            if fd >= 0:
                system.close(fd)
                self.refused += 1
            reactor.spare = open_spare()
            if fd < 0:
                return action_for(code) is Action.DONE
        return True

    @cython.final
    cdef bint _gone(self) except -1:
        """Returns True if the listening socket was shut down from outside; then it is closed and says so, once."""
        cdef int accepting = 0
        cdef system.socklen_t length = sizeof(accepting)
        if system.getsockopt(
            self.fd, system.SOL_SOCKET, system.SO_ACCEPTCONN, &accepting, &length
        ) == 0 and accepting:
            return False
        self._discard()
        self._tell(CLOSE, 0, 0)
        return True

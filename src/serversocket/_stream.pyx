# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: embedsignature=True, always_allow_keywords=True
"""Connections: `Stream`, and what outlives one (`Lingerer`)."""

cimport cython
from cpython.buffer cimport PyBuffer_Release, PyObject_CheckBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromObject, PyBytes_GET_SIZE
from libc.stdint cimport uint32_t

from . cimport _system as system
from ._address cimport Address, host_of, port_of
from ._connector cimport Connector
from ._dispatch cimport CLOSE, CONNECT, OUTPUT_PROGRESS, SOCKET_DATA, listeners_of, report
from ._input cimport CLOSED, CONNECTED, CONNECTING, FINISHED, Input, open_buffer
from ._reactor cimport READ_SIZE, Reactor, checked

from . import errors

cdef enum:
    READS_PER_TURN = 4          # of one stream, so that a fast sender cannot starve the others
    READS_AT_THE_END = 1024     # of one that broke, which has no other turn
    CHUNKS_PER_SEND = 64        # pieces of output in one sendmsg
    COPY_BELOW = 4096           # smaller writes behind another are joined, larger ones queued as they are
    TAIL_LIMIT = 65536          # how far joined writes may grow

cdef double LINGER_SECONDS = 2.0    # for the peer to fetch what was sent to it before it was closed


@cython.no_gc_clear
cdef class Stream(Input):
    """A connection. The public class is `serversocket.Socket`.

    Output is the object being sent (`head`, from `offset`) and those behind it (`more`): `bytes` as the program
    gave them, and bytearrays, known only to this class, in which small writes are joined.
    """

    # ---- state

    @property
    def connected(self):
        """Whether the socket is connected (AIR: ``connected``)."""
        return self.state == CONNECTED

    @property
    def _opened(self):
        """Whether there is something to close."""
        return self.state == CONNECTED or self.state == CONNECTING

    @property
    def bytes_pending(self):
        """How many bytes were written and are not sent yet (AIR: ``bytesPending``)."""
        return self.pending

    @property
    def remote_address(self):
        """The peer's IP address, or ``None`` (AIR: ``remoteAddress``); it outlives the peer's leaving."""
        return host_of(&self.peer) if self.state >= CONNECTED else None

    @property
    def remote_port(self):
        """The peer's port, or 0 (AIR: ``remotePort``); it outlives the peer's leaving."""
        return port_of(&self.peer) if self.state >= CONNECTED else 0

    @property
    def local_address(self):
        """The IP address of this end, or ``None`` (AIR: ``localAddress``); it outlives the peer's leaving."""
        cdef Address address
        return host_of(&address) if self._local(&address) else None

    @property
    def local_port(self):
        """The port of this end, or 0 (AIR: ``localPort``); it outlives the peer's leaving."""
        cdef Address address
        return port_of(&address) if self._local(&address) else 0

    cdef bint _local(self, Address *address) noexcept:
        cdef system.socklen_t length = sizeof(Address)
        if self.state == FINISHED:
            address[0] = self.local
            return address.head.sa_family != 0
        return self.state == CONNECTED and system.getsockname(self.fd, &address.head, &length) == 0

    @property
    def tcp_no_delay(self):
        """Whether small writes are sent at once, without Nagle's algorithm (AIR: ``tcpNoDelay``); off at first."""
        return self.no_delay

    @tcp_no_delay.setter
    def tcp_no_delay(self, value):
        self._check()
        self.no_delay = bool(value)
        if self.state == CONNECTED:
            self._apply_no_delay()

    cdef int _apply_no_delay(self) except -1:
        cdef int on = self.no_delay
        checked(system.setsockopt(self.fd, system.IPPROTO_TCP, system.TCP_NODELAY, &on, sizeof(on)))
        return 0

    cdef int _listening(self, kind) except -1:
        if self.fd >= 0:
            self._hold(self.listeners is not None or self.pending)
        return 0

    cdef int _settle(self) except -1:
        """Registers what follows from the state, once the program's call has returned."""
        if self.fd < 0:
            return 0
        self._hold(self.listeners is not None or self.pending)
        try:
            self._reactor._watch(
                self, system.EPOLLIN | system.EPOLLRDHUP | (system.EPOLLOUT if self.blocked else 0)
            )
        except OSError as error:
            self._fail(error.errno)
        return 0

    cdef int _discard(self) except -1:
        """Closes without events, and forgets input and output."""
        self._shut()
        self.state = CLOSED
        self.failure = 0
        self._drop_input()
        self._drop_output()
        return 0

    # ---- output

    def write(self, data):
        """Queues bytes to be sent. They go out with `flush` or at the end of the reactor's turn.

        Args:
            data: Any bytes-like object. ``bytes`` are kept by reference, anything mutable is copied.

        Returns:
            How many bytes were queued: all of them.

        Raises:
            IOError: The socket is not connected (#2002).
            TypeError: `data` is not bytes-like.
        """
        return self._write(data)

    cdef object _write(self, data):
        cdef Py_ssize_t count
        cdef bytes chunk
        self._require(CONNECTED, "write")
        chunk = <bytes> data if type(data) is bytes else self._as_bytes(data)
        count = PyBytes_GET_SIZE(chunk)
        if count:
            self._queue(chunk, count)
        return count

    cdef bytes _as_bytes(self, data):
        cdef bytes copied = PyBytes_FromObject(data) if PyObject_CheckBuffer(data) else self._coerce(data)
        if copied is None:
            raise errors.wrong_type("data", data, "bytes-like")
        self._require(CONNECTED, "write")   # Python code may have run meanwhile
        return copied

    cdef int _queue(self, bytes chunk, Py_ssize_t count) except -1:
        cdef object last
        if not (self.dirty or self.serving or self.blocked):
            self._reactor.dirty.append(self)
            self.dirty = True
        if self.head is None:
            self.head = chunk
            self.offset = 0
        else:
            if self.more is None:
                self.more = []
            last = self.more[len(self.more) - 1] if self.more else None
            if count >= COPY_BELOW:
                self.more.append(chunk)
            elif type(last) is bytearray and PyByteArray_GET_SIZE(last) + count <= TAIL_LIMIT:
                (<bytearray> last).extend(chunk)
            else:
                self.more.append(bytearray(chunk))
        self.pending += count
        self.written += count
        if self.dirty:
            self._reactor._show_work()
        return 0

    def flush(self):
        """Hands queued output to the system at once, as much as it takes (AIR: ``flush``).

        Raises:
            IOError: The socket is not connected (#2002).
        """
        self._require(CONNECTED, "flush")
        self._send_output()

    cdef int _transmit(self) except -1:
        """Sends what the system takes, without calling into the program."""
        cdef ssize_t sent
        cdef Py_ssize_t offered
        while self.pending:
            sent = self._send_some(&offered)
            if sent < 0:
                if system.errno == system.EAGAIN or system.errno == system.EWOULDBLOCK:
                    self.blocked = True
                else:
                    self._fail(system.errno)
                return 0
            if listeners_of(self, OUTPUT_PROGRESS) is not None:
                self.progressed = True
            self._take_off(sent)
            if sent < offered:
                self.blocked = True     # more would only be refused
                return 0
        self.blocked = False
        return 0

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

    cdef int _take_off(self, Py_ssize_t count) except -1:
        """Takes what was sent off the queue."""
        cdef Py_ssize_t index, done = 0
        self.pending -= count
        if self.pending == 0:
            self.head = None
            self.more = None
            self.offset = 0
            return 0
        count += self.offset
        while count >= _length(self.head):
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

    cdef int _drop_output(self) except -1:
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

    cdef int _attend(self) except -1:
        cdef int failure = self.failure
        if self.progressed:
            self._tell_progress()
        if failure and self.fd >= 0:
            self._receive(failure)
            if self.state == CONNECTED:
                self._finish(failure, "recv" if self.torn else "send")
        return 0

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

    # ---- readiness

    cdef int _ready(self, uint32_t events) except -1:
        cdef int fd = self.fd
        cdef uint32_t slot = self.slot
        if events & ~<uint32_t> system.EPOLLOUT:
            self.serving = True
            try:
                self._receive(0 if not events & (system.EPOLLRDHUP | system.EPOLLHUP | system.EPOLLERR) else -1)
            finally:
                self._served()
        if events & system.EPOLLOUT and self.blocked and self.fd == fd and self.slot == slot:
            self.blocked = False
            self._transmit()
            if self.progressed:
                self._tell_progress()
            elif self.state == CONNECTED:
                self._settle()
        return 0

    cdef int _served(self) except -1:
        """Sends what its own listener wrote, while it is still in the processor's cache."""
        self.serving = False
        if not self.dirty:
            self._send_output()
        return 0

    cdef bint _first_read(self) except -1:
        """Reads before the system has said that there is something; whether there was."""
        cdef char *memory
        cdef ssize_t count
        if self.state != CONNECTED or listeners_of(self, SOCKET_DATA) is None or self.lent is not None:
            return False
        memory = self._reactor.landing()
        count = system.recv(self.fd, memory, READ_SIZE, 0)
        if count < 0 and system.errno in (system.EAGAIN, system.EWOULDBLOCK):
            return False
        self.serving = True
        try:
            self._received(memory, count, READ_SIZE, 0)
        finally:
            self._served()
        return True

    cdef int _receive(self, int ending) except -1:
        """Reads and delivers, within the turn's bounds.

        Args:
            ending: Whether the end is known to follow: then a short read is not the last one. A positive number is
                the errno of a failed send, which the system reports once only: it is what the end of the stream then
                means.
        """
        cdef Reactor reactor = self._reactor
        cdef char *memory
        cdef bint more
        cdef int _
        for _ in range(READS_PER_TURN if ending <= 0 else READS_AT_THE_END):
            if self.torn:
                return self._fail(system.ENOMEM) if ending <= 0 else 0      # the first time, memory may have run out
            if self.lent is None or ending > 0:     # the last reads must hold all that is left
                memory = reactor.landing()
                more = self._received(memory, system.recv(self.fd, memory, READ_SIZE, 0), READ_SIZE, ending)
            else:
                more = self._receive_lent(ending)
            if not more:
                return 0
        return 0

    cdef bint _receive_lent(self, int ending) except -1:
        """Receives into `read_buffer`, which is locked until its listeners have returned; whether to go on.

        Where the buffer is made in Python, its program runs when it is opened and released, and may close the socket.
        """
        cdef Py_buffer view
        cdef ssize_t count
        cdef int code, fd = self.fd
        cdef bint more
        try:
            open_buffer("read_buffer", self.lent, &view)
        except Exception as error:
            self.lent = None
            report(error, self)
            return self.fd == fd and self.state == CONNECTED
        if view.len == 0 or self.fd != fd:
            if view.len == 0:
                self.lent = None
            PyBuffer_Release(&view)
            return self.fd == fd
        count = system.recv(fd, view.buf, view.len, 0)
        if count <= 0:
            code = system.errno
            PyBuffer_Release(&view)
            system.errno = code
            return self.fd == fd and self._received(NULL, count, 1, ending)
        try:
            more = self._received(<char *> view.buf, count, view.len, ending)
        finally:
            PyBuffer_Release(&view)
        return more and self.fd == fd

    cdef bint _received(self, char *memory, ssize_t count, Py_ssize_t room, int ending) except -1:
        """Delivers what `recv` has said; whether to go on."""
        cdef Reactor reactor = self._reactor
        cdef uint32_t slot = self.slot
        cdef uint32_t generation = reactor.slots[slot].generation
        if count <= 0:
            if count == 0:
                self._finish(max(ending, 0), "send")
            elif system.errno == system.EINTR:
                return True
            elif system.errno != system.EAGAIN and system.errno != system.EWOULDBLOCK:
                self._finish(system.errno, "recv")
            return False
        self._arrived(memory, count)
        if self.slot != slot or reactor.slots[slot].generation != generation:
            return False
        return count == room or ending

    cdef int _arrived(self, char *data, Py_ssize_t count) except -1:
        """Shows what has just arrived to the listeners of socketData and keeps what they leave."""
        cdef bint unheard = listeners_of(self, SOCKET_DATA) is None
        if self.size or unheard:
            if not self._append_input(data, count):
                return self._finish(system.ENOMEM, "recv")
            if unheard:
                return 0
        else:
            self.data = data
            self.size = count
        try:
            self._tell(SOCKET_DATA, count, 0)
        finally:
            if self.size and self.store is None:
                self._keep_input()
        return 0

    cdef int _keep_input(self) except -1:
        """Moves what the listeners have left out of memory that is about to be used again."""
        cdef char *data = self.data
        cdef Py_ssize_t size = self.size
        self._drop_input()
        if not self._append_input(data, size):
            self._finish(system.ENOMEM, "recv")
        return 0

    cdef int _input_lost(self) except -1:
        self.torn = True
        return self._fail(system.ENOMEM)

    cdef int _finish(self, int failure, str call) except -1:
        """The peer has closed, or the connection broke."""
        if not self._local(&self.local):
            self.local.head.sa_family = 0
        if failure == 0 and self.pending:
            self._transmit()
        if failure == 0 and self.failure:
            failure = self.failure
            call = "send"
        if failure == 0 and self.pending:
            self._linger(ended=True)
        self._shut()
        self._drop_output()
        self.failure = 0
        self.state = FINISHED
        try:
            if failure:
                self._broken(failure, call)
        finally:
            if self.state == FINISHED:
                self._tell(CLOSE, 0, 0)
        return 0

    cdef int _fail(self, int failure) except -1:
        """Breaks the connection in the last step of the turn: nobody hears of it from inside his own call."""
        self.failure = failure
        self._drop_output()
        self._reactor._postpone(self)
        return 0

    # ---- the end

    def close(self):
        """Sends what is pending and closes (AIR: ``close``). Unread input is dropped; there is no event.

        Raises:
            IOError: The socket is not open (#2002).
        """
        self._end()

    cdef int _end(self) except -1:
        if self._reactor_is_dead():
            return self._discard()
        self._check()
        if self.state == CONNECTING:
            self._connecting_failed()
            return 0
        self._require(CONNECTED, "close")
        if self.pending and not self.blocked:
            self._transmit()
        if self.pending or (self.written and not self.failure and self._input_waits()):
            self._linger()
        self._discard()
        return 0

    cdef bint _input_waits(self) noexcept:
        """Whether there is input that nobody has read: then `close` would reset the connection."""
        cdef char byte
        return system.recv(self.fd, &byte, 1, system.MSG_PEEK) > 0

    def abort(self):
        """Drops what is pending and resets the connection; the peer sees an error. There is no event.

        Raises:
            IOError: The socket is not connected (#2002).
        """
        self._require(CONNECTED, "abort")
        self._reset()
        self._discard()

    cdef void _reset(self) noexcept:
        """Makes the close that follows a reset."""
        cdef system.linger setting
        setting.l_onoff = 1
        setting.l_linger = 0
        system.setsockopt(self.fd, system.SOL_SOCKET, system.SO_LINGER, &setting, sizeof(setting))

    cdef int _linger(self, bint ended=False) except -1:
        """Hands the descriptor and what is still to be sent to a Lingerer."""
        cdef Lingerer lingerer = Lingerer.__new__(Lingerer)
        cdef int fd = self.fd
        lingerer._reactor = self._reactor
        lingerer.quiet = True
        lingerer.head = self.head
        lingerer.more = self.more
        lingerer.offset = self.offset
        lingerer.pending = self.pending
        self._hold(False)
        self._reactor._withdraw(self)
        self.fd = -1
        lingerer._own(fd)
        lingerer.state = CONNECTED
        lingerer.blocked = self.pending > 0
        lingerer.ended = ended
        lingerer._settle()
        return 0

    # ---- connecting

    def _begin_connecting(self, attempt):
        self._drop_input()
        self.attempt = attempt
        self.state = CONNECTING

    def _connecting_failed(self):
        attempt = self.attempt
        self.attempt = None
        self.state = CLOSED
        if attempt is not None:
            attempt.cancel()

    def _adopt(self, Connector connector not None):
        cdef int fd = connector.fd
        self._check()
        if fd < 0 or connector._reactor is not self._reactor or self.state == CONNECTED:
            raise RuntimeError("there is no connection to take over")
        self._drop_input()
        self._drop_output()
        self.attempt = None
        self.torn = False
        self.written = 0
        connector._hold(False)
        connector._reactor._withdraw(connector)
        connector.fd = -1
        connector.callback = None
        self.state = CLOSED
        self._own(fd)
        self.state = CONNECTED
        self.peer = connector.address
        if self.no_delay:
            try:
                self._apply_no_delay()
            except OSError as error:
                self._fail(error.errno)
        try:
            self._tell(CONNECT, 0, 0)
        finally:
            self._settle()


cdef inline char *_contents(chunk) noexcept:
    return PyByteArray_AS_STRING(chunk) if type(chunk) is bytearray else PyBytes_AS_STRING(chunk)


cdef inline Py_ssize_t _length(chunk) noexcept:
    return PyByteArray_GET_SIZE(chunk) if type(chunk) is bytearray else PyBytes_GET_SIZE(chunk)


@cython.final
@cython.no_gc_clear
cdef class Lingerer(Stream):
    """What is left of a stream that was closed too early to just close its descriptor.

    It sends what is pending, tells the peer that nothing more comes, and closes when the peer does, or after a while.
    Meanwhile it reads and forgets: where input is unread, `close` makes the system reset the connection and drop
    what the peer has not fetched yet.
    """

    cdef int _settle(self) except -1:
        cdef uint32_t interest = 0 if self.ended else system.EPOLLIN | system.EPOLLRDHUP
        if self.fd < 0:
            return 0
        self._hold(True)
        try:
            if self.pending:
                interest |= system.EPOLLOUT
            elif self.ended:
                return self._discard()
            elif self.attempt is None:
                checked(system.shutdown(self.fd, system.SHUT_WR))
                self.attempt = self._reactor.call_later(LINGER_SECONDS, self._expire)
            self._reactor._watch(self, interest)
        except OSError:
            self._reset()       # nobody would ever say that it may go on; the peer must not take this for the end
            self._discard()
        return 0

    cdef int _ready(self, uint32_t events) except -1:
        if events & ~<uint32_t> system.EPOLLOUT:
            self._waste()
        if self.blocked and events & system.EPOLLOUT:
            self.blocked = False
            self._transmit()
        return self._settle()

    cdef int _waste(self) except -1:
        """Reads and forgets."""
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
        return self._discard()      # a send has failed: nobody is there any more

    cdef int _discard(self) except -1:
        timer = self.attempt
        self.attempt = None
        self._drop_output()
        self._shut()
        if timer is not None and not self._reactor.dead:
            timer.cancel()
        return 0

    def _expire(self):
        self._discard()

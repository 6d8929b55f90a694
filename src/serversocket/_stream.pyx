# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: embedsignature=True, always_allow_keywords=True
"""Connections: `Stream`, what outlives one (`Lingerer`), and what becomes one (`Connector`)."""

cimport cython
from cpython.buffer cimport PyBUF_WRITABLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromObject, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.mem cimport PyMem_Free, PyMem_Realloc
from cpython.object cimport PyObject
from libc.stdint cimport uint32_t

from . cimport _system as system
from ._dispatch cimport Event, OutputProgressEvent, ProgressEvent, new_event
from ._reactor cimport READ_SIZE, Reactor, Source, checked, raise_errno

import os

from . import errors

cdef extern from "Python.h":
    unsigned long PyThread_get_thread_ident() nogil
    Py_ssize_t PyNumber_AsSsize_t(object value, PyObject *overflow) except? -1


cdef enum:
    READS_PER_TURN = 4          # of one stream, so that a fast sender cannot starve the others
    READS_AT_THE_END = 1024     # of one that broke, which has no other turn
    CHUNKS_PER_SEND = 64        # pieces of output in one sendmsg
    COPY_BELOW = 4096           # smaller writes behind another are joined, larger ones queued as they are
    TAIL_LIMIT = 65536          # how far joined writes may grow

cdef double LINGER_SECONDS = 2.0    # for the peer to fetch what was sent to it before it was closed

cdef str CONNECT = "connect"
cdef str CLOSE = "close"
cdef str SOCKET_DATA = "socketData"
cdef str OUTPUT_PROGRESS = "outputProgress"


cdef system.socklen_t fill(Address *address, int family, str host, int port, uint32_t scope_id) except 0:
    cdef bytes text = host.encode("ascii")
    cdef int good
    system.memset(address, 0, sizeof(Address))
    address.head.sa_family = family
    if family == system.AF_INET:
        address.v4.sin_port = system.htons(port)
        good = system.inet_pton(family, PyBytes_AS_STRING(text), &address.v4.sin_addr)
    else:
        address.v6.sin6_port = system.htons(port)
        address.v6.sin6_scope_id = scope_id
        good = system.inet_pton(family, PyBytes_AS_STRING(text), &address.v6.sin6_addr)
    if good != 1:
        raise_errno(system.EINVAL)
    return sizeof(system.sockaddr_in) if family == system.AF_INET else sizeof(system.sockaddr_in6)


cdef object host_of(const Address *address):
    cdef char text[system.INET6_ADDRSTRLEN]
    cdef char name[system.IF_NAMESIZE]
    cdef str host
    if address.head.sa_family == system.AF_INET:
        system.inet_ntop(system.AF_INET, &address.v4.sin_addr, text, sizeof(text))
        return (<bytes> text).decode("ascii")
    if address.head.sa_family != system.AF_INET6:
        return None
    system.inet_ntop(system.AF_INET6, &address.v6.sin6_addr, text, sizeof(text))
    host = (<bytes> text).decode("ascii")
    if address.v6.sin6_scope_id and system.IN6_IS_ADDR_LINKLOCAL(&address.v6.sin6_addr):
        if system.if_indextoname(address.v6.sin6_scope_id, name) == NULL:
            return f"{host}%{address.v6.sin6_scope_id}"
        return f"{host}%{os.fsdecode(<bytes> name)}"
    return host


cdef int port_of(const Address *address) noexcept:
    # The port stands at the same place for both families.
    return system.ntohs(address.v4.sin_port) if address.head.sa_family else 0


@cython.no_gc_clear
cdef class Stream(Source):
    """A connection. The public class is `serversocket.Socket`.

    Input is a view, `data` and `size`. While a listener of `socketData` runs it lies in the reactor's one buffer;
    what the listener leaves is moved to memory of its own (`store`) when it returns. So a message that is read at
    once is copied once, from that buffer to where the program wants it.

    Output is the object being sent (`head`, from `offset`) and those behind it (`more`): `bytes` as the program
    gave them, and bytearrays, known only to this class, in which small writes are joined.
    """

    def __dealloc__(self):
        self._drop_input()

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
    def bytes_available(self):
        """How many bytes can be read (AIR: ``bytesAvailable``)."""
        return self.size

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

    cdef int _require(self, StreamState least, str call) except -1:
        """Refuses a call on a socket that is not open: `least` is CONNECTED, or FINISHED where input may be left."""
        if self._reactor is None or PyThread_get_thread_ident() != self._reactor.thread or self._reactor.dead:
            self._check()
        if self.state == CONNECTED or (least == FINISHED and self.state == FINISHED):
            return 0
        raise errors.not_open(call)

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
        self._drop_input()
        self._drop_output()
        return 0

    # ---- input

    def read(self, size=-1):
        """Reads what is there, at once.

        Args:
            size: At most so many bytes; negative or ``None``: all.

        Returns:
            The bytes; ``b""`` if nothing is there.

        Raises:
            IOError: The socket is not open (#2002).
        """
        cdef Py_ssize_t wanted
        self._require(FINISHED, "read")
        wanted = self._amount(size)
        return self._take(wanted)

    def peek(self, size=-1):
        """As `read`, but the bytes stay.

        Args:
            size: At most so many bytes; negative or ``None``: all.

        Raises:
            IOError: The socket is not open (#2002).
        """
        cdef Py_ssize_t wanted
        self._require(FINISHED, "peek")
        wanted = self._amount(size)
        return PyBytes_FromStringAndSize(self.data, wanted)

    def readinto(self, buffer):
        """Reads what is there into a writable buffer.

        Args:
            buffer: A bytearray, a writable memoryview, an array: what has a contiguous buffer.

        Returns:
            How many bytes were read.

        Raises:
            IOError: The socket is not open (#2002).
            TypeError: `buffer` is no writable buffer.
        """
        cdef Py_buffer view
        cdef Py_ssize_t count
        self._require(FINISHED, "readinto")
        if not PyObject_CheckBuffer(buffer):
            raise errors.wrong_type("buffer", buffer, "a writable buffer")
        try:
            PyObject_GetBuffer(buffer, &view, PyBUF_WRITABLE)
        except BufferError:
            raise errors.wrong_type("buffer", buffer, "a writable buffer") from None
        count = min(view.len, self.size)
        if count:
            system.memcpy(view.buf, self.data, count)
            self._advance(count)
        PyBuffer_Release(&view)
        return count

    def _consume(self, Py_ssize_t size):
        self._exactly(size, "read")
        return self._take(size)

    def _lookahead(self, Py_ssize_t size):
        self._exactly(size, "peek")
        return PyBytes_FromStringAndSize(self.data, size)

    cdef int _exactly(self, Py_ssize_t size, str call) except -1:
        self._require(FINISHED if self.size else CONNECTED, call)
        if size > self.size:
            raise errors.end_of_file(call, size, self.size)
        return 0

    cdef Py_ssize_t _amount(self, size) except -1:
        cdef Py_ssize_t wanted = -1 if size is None else PyNumber_AsSsize_t(size, NULL)
        return self.size if wanted < 0 or wanted > self.size else wanted

    cdef bytes _take(self, Py_ssize_t size):
        cdef bytes taken = PyBytes_FromStringAndSize(self.data, size)
        if size:
            self._advance(size)
        return taken

    cdef void _advance(self, Py_ssize_t count) noexcept:
        self.data += count
        self.size -= count
        if self.size == 0 and self.store != NULL:
            self._drop_input()

    cdef void _drop_input(self) noexcept:
        PyMem_Free(self.store)
        self.store = self.data = NULL
        self.size = self.capacity = 0

    cdef int _keep_input(self, const char *data, Py_ssize_t size) except -1:
        """Appends to the stream's own memory."""
        cdef Py_ssize_t used = self.data - self.store if self.store != NULL else 0
        cdef Py_ssize_t capacity = self.capacity
        cdef char *store
        if used and used + self.size + size > capacity:
            system.memmove(self.store, self.data, self.size)
            self.data = self.store
            used = 0
        if self.size + size > capacity or self.store == NULL:
            capacity = max(capacity, 256)
            while capacity < self.size + size:
                capacity *= 2
            store = <char *> PyMem_Realloc(self.store, capacity)
            if store == NULL:
                raise errors.out_of_memory("recv")
            self.data = store + used
            self.store = store
            self.capacity = capacity
        system.memcpy(self.data + self.size, data, size)
        self.size += size
        return 0

    cdef int _arrived(self, char *data, Py_ssize_t count) except -1:
        """Shows what has just arrived to the listeners of socketData and keeps what they leave."""
        cdef tuple entries = self._listeners_of(SOCKET_DATA)
        cdef Event event
        if self.size or entries is None:
            self._keep_input(data, count)
            if entries is None:
                return 0
        else:
            self.data = data
            self.size = count
        try:
            event = new_event(ProgressEvent, SOCKET_DATA)
            event.part = count
            self._deliver(event, entries)
        finally:
            if self.size and self.store == NULL:
                data = self.data
                count = self.size
                self.data = NULL
                self.size = 0
                self._keep_input(data, count)
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
            offered = self._send_some(&sent)
            if sent < 0:
                if system.errno == system.EAGAIN or system.errno == system.EWOULDBLOCK:
                    self.blocked = True
                else:
                    self.failure = system.errno
                    self._drop_output()
                    self._reactor._postpone(self)
                return 0
            self._sent(sent)
            if self._listeners_of(OUTPUT_PROGRESS) is not None:
                self.progressed = True
            if sent < offered:
                self.blocked = True     # more would only be refused
                return 0
        self.blocked = False
        return 0

    cdef Py_ssize_t _send_some(self, ssize_t *sent) except -1:
        cdef system.iovec pieces[CHUNKS_PER_SEND]
        cdef system.msghdr message
        cdef Py_ssize_t index, count = 1, offered
        pieces[0].iov_base = _contents(self.head) + self.offset
        pieces[0].iov_len = offered = _length(self.head) - self.offset
        if self.more:
            count = min(len(self.more) + 1, <Py_ssize_t> CHUNKS_PER_SEND)
            for index in range(1, count):
                pieces[index].iov_base = _contents(self.more[index - 1])
                pieces[index].iov_len = _length(self.more[index - 1])
                offered += pieces[index].iov_len
        while True:
            if count == 1:
                sent[0] = system.send(self.fd, pieces[0].iov_base, pieces[0].iov_len, system.MSG_NOSIGNAL)
            else:
                system.memset(&message, 0, sizeof(message))
                message.msg_iov = pieces
                message.msg_iovlen = count
                sent[0] = system.sendmsg(self.fd, &message, system.MSG_NOSIGNAL)
            if sent[0] >= 0 or system.errno != system.EINTR:
                return offered

    cdef int _sent(self, Py_ssize_t count) except -1:
        """Takes what was sent off the queue."""
        cdef Py_ssize_t done = 0
        self.pending -= count
        count += self.offset
        while self.head is not None and count >= _length(self.head):
            count -= _length(self.head)
            self.head = None
            if self.more is not None and done < len(self.more):
                self.head = self.more[done]
                done += 1
        self.offset = count
        if done:
            del self.more[:done]
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
        if self.progressed:
            self._reactor._postpone(self)
        # Settled already where nothing was left, nothing was waited for, and not the output alone kept it alive.
        if self.watched and (self.blocked or self.interest & system.EPOLLOUT or self.listeners is None):
            self._settle()
        return 0

    cdef int _attend(self) except -1:
        cdef int failure = self.failure
        if self.progressed:
            self._tell_progress()
        if failure and self.fd >= 0:
            self._receive(failure)
            if self.state == CONNECTED:
                self._finish(failure, "send")
        return 0

    cdef int _tell_progress(self) except -1:
        cdef tuple entries = self._listeners_of(OUTPUT_PROGRESS)
        cdef Event event
        self.progressed = False
        if self.state == CONNECTED and entries is not None:
            event = new_event(OutputProgressEvent, OUTPUT_PROGRESS)
            event.part = self.pending
            event.total = self.written
            self._deliver(event, entries)
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
            if self.state == CONNECTED:
                self._settle()
        return 0

    cdef int _served(self) except -1:
        """Sends what its own listener wrote, while it is still in the processor's cache."""
        self.serving = False
        if not self.dirty:
            self._send_output()
        return 0

    cdef int _receive(self, int ending) except -1:
        """Reads and delivers, within the turn's bounds.

        Args:
            ending: Whether the end is known to follow: then a short read is not the last one. A positive number is
                the errno of a failed send, which the system reports once only: it is what the end of the stream then
                means.
        """
        cdef Reactor reactor = self._reactor
        cdef uint32_t slot = self.slot
        cdef uint32_t generation = reactor.slots[slot].generation
        cdef ssize_t count
        cdef int _
        for _ in range(READS_PER_TURN if ending <= 0 else READS_AT_THE_END):
            count = system.recv(self.fd, reactor.buffer, READ_SIZE, 0)
            if count < 0:
                if system.errno == system.EINTR:
                    continue
                if system.errno != system.EAGAIN and system.errno != system.EWOULDBLOCK:
                    self._finish(system.errno, "recv")
                return 0
            if count == 0:
                self._finish(max(ending, 0), "send")
                return 0
            try:
                self._arrived(reactor.buffer, count)
            except MemoryError:
                # Bytes may be missing: what follows must not be taken for what comes next.
                if self.slot == slot and reactor.slots[slot].generation == generation:
                    self._finish(system.ENOMEM, "recv")
                return 0
            if self.slot != slot or reactor.slots[slot].generation != generation:
                return 0
            if count < READ_SIZE and not ending:
                return 0
        return 0

    cdef int _finish(self, int failure, str call) except -1:
        """The peer has closed, or the connection broke."""
        cdef tuple entries
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
                entries = self._listeners_of(CLOSE)
                if entries is not None:
                    self._deliver(new_event(Event, CLOSE), entries)
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
        if self._reactor_is_dead():
            self._discard()
            return
        self._check()
        if self.state == CONNECTING:
            self._connecting_failed()
            return
        self._require(CONNECTED, "close")
        if self.pending and not self.blocked:
            self._transmit()
        if self.pending or (self.written and not self.failure and self._input_waits()):
            self._linger()
        self._discard()
        self.failure = 0

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
        self.failure = 0

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
        entries = self._listeners_of(CONNECT)
        try:
            if entries is not None:
                self._deliver(new_event(Event, CONNECT), entries)
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
                system.shutdown(self.fd, system.SHUT_WR)
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
            count = system.recv(self.fd, self._reactor.buffer, READ_SIZE, 0)
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


@cython.no_gc_clear
cdef class Connector(Source):
    """A connect that is under way.

    Args:
        reactor: The `Reactor` that watches it.
        family: ``AF_INET`` or ``AF_INET6``.
        address: ``(host, port)`` or ``(host, port, flow, scope)``.
        callback: Called with the connector when `errno` tells how it went.
    """

    def __init__(self, Reactor reactor not None, int family, tuple address not None, callback):
        self._attach(reactor)
        self.callback = callback
        self.address_length = fill(
            &self.address, family, address[0], address[1], address[3] if len(address) > 3 else 0
        )

    @property
    def errno(self):
        """Why the connect failed; 0 where it did not."""
        return self.code

    def start(self):
        """Begins; the callback comes from the reactor, never from here."""
        cdef int fd
        self._check()
        fd = system.socket(
            self.address.head.sa_family, system.SOCK_STREAM | system.SOCK_NONBLOCK | system.SOCK_CLOEXEC, 0
        )
        if fd < 0:
            self.code = system.errno
            self._reactor._postpone(self)
            return
        self.quiet = True
        self._own(fd)
        self._hold(True)
        if system.connect(fd, &self.address.head, self.address_length) == 0:
            self._reactor._postpone(self)
        elif system.errno == system.EINPROGRESS:
            try:
                self._reactor._watch(self, system.EPOLLOUT)
            except OSError as error:
                self.code = error.errno
                self._reactor._postpone(self)
        else:
            self.code = system.errno
            self._reactor._postpone(self)

    def cancel(self):
        """Ends it; the callback is not called any more."""
        self.callback = None
        self._shut()

    cdef int _ready(self, uint32_t events) except -1:
        cdef system.socklen_t length = sizeof(self.code)
        if system.getsockopt(self.fd, system.SOL_SOCKET, system.SO_ERROR, &self.code, &length) < 0:
            self.code = system.errno
        return self._attend()

    cdef int _attend(self) except -1:
        callback = self.callback
        self.callback = None
        if self.code:
            self._shut()
        if callback is not None:
            callback(self)
        return 0

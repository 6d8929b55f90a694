# `Input`: input that has arrived at a connection and is not read yet, and how the program reads it.

cdef enum State:
    CLOSED = 0              # fresh, or closed by the program
    CONNECTING = 1
    CONNECTED = 2
    FINISHED = 3            # the peer has left; unread input and its address remain


cdef enum:
    READS_PER_TURN = 4          # of one connection, so that a fast sender cannot starve the others
    LEAST_STORE = 256           # bytes; from here on, a store grows by quarters
    WORTH_GIVING = 8192         # bytes; from here on, handing memory over costs less than copying its content

cdef object ALL = -1


@cython.no_gc_clear
@cython.auto_pickle(False)      # it would take `data` for a string
cdef class Input(Output):
    """The reading half of a connection.

    Input is a view, `data` and `size`. While a listener of `socketData` runs it lies where it was received: in the
    reactor's memory or in the program's `read_buffer`. What the listener leaves is moved to memory of its own
    (`store`) when it returns. So a message that is read at once is copied once, from there to where the program wants
    it; and a large one not at all, for then the program gets the memory itself. If the program has dropped the bytes
    by the time of the next read, the memory is used again. If it has not, the bytes keep more memory than they need, so
    for some while the next ones get memory of just their size, and keep it.

    Memory that the program can see, through a view or as bytes, is never written to again: it is used again only where
    the engine's reference is the only one.
    """

    cdef State state
    cdef flag torn          # truncated: input was lost, and what comes after it is not read
    cdef flag incoming      # the Half of the peer's output, where the connection goes on without it
    cdef char *data         # what has not been read yet
    cdef Py_ssize_t size
    cdef bytes store        # memory of its own, in which `data` lies; None while it lies where it was received
    cdef object lent        # read_buffer

    @property
    def bytes_available(self):
        """How many bytes can be read now (AIR: ``bytesAvailable``)."""
        return self.size

    @property
    def read_buffer(self):
        """The user buffer: the program's own memory to receive into; ``None``, the default, for the engine's memory.

        It is a writable contiguous buffer, such as a bytearray, a writable memoryview, an array or an mmap. Input is
        received directly into it, in each read at most as much as fits. While the listeners of ``socketData`` run, the
        bytes are at its beginning, unless some were left unread before. `readinto` always puts them in the right place,
        and copies nothing if they are there already. Bytes that the listeners leave unread are moved to the socket's
        own memory. So between events the program may change and resize the buffer, and share it among sockets.

        It stays set over reconnects. If the buffer is empty or no longer usable when input arrives, `read_buffer`
        becomes ``None``, and the bytes arrive in the engine's memory. If the buffer was released or closed, the error
        becomes an ``uncaughtError`` event.

        Raises:
            TypeError: The value is not a writable contiguous buffer.
            ArgumentError: The buffer is empty (#2004).

        Example:
            >>> import serversocket
            >>> socket = serversocket.Socket()
            >>> socket.read_buffer = bytearray(1024 * 1024)
        """
        return self.lent

    @read_buffer.setter
    def read_buffer(self, buffer):
        cdef Py_buffer view
        cdef Py_ssize_t length
        self._check()
        if buffer is not None:
            open_buffer("read_buffer", buffer, &view, "a writable contiguous buffer or None")
            length = view.len
            PyBuffer_Release(&view)
            if length == 0:
                raise errors.bad_argument("read_buffer", f"{errors.shown(buffer)} is empty")
        self.lent = buffer

    def read(self, size=-1):
        """Reads the bytes that are available, without waiting.

        Args:
            size: How many bytes at most; all if negative or ``None``.

        Returns:
            The bytes; ``b""`` if none are available.

        Raises:
            IOError: The socket is not open (#2002).

        Example:
            >>> import serversocket
            >>> socket = serversocket.Socket()
            >>> socket.add_event_listener("socketData", lambda event: print(socket.read()))
        """
        cdef Py_ssize_t wanted
        self._require(FINISHED, "read")
        wanted = self._amount(size)
        return self._take(wanted)

    def peek(self, size=-1):
        """Does the same as `read`, but the bytes stay unread.

        Args:
            size: How many bytes at most; all if negative or ``None``.

        Raises:
            IOError: The socket is not open (#2002).
        """
        cdef Py_ssize_t wanted
        self._require(FINISHED, "peek")
        wanted = self._amount(size)
        return PyBytes_FromStringAndSize(self.data, wanted)

    def view(self, size=-1):
        """Does the same as `peek`, but without a copy: the view shows the bytes in the engine's memory.

        The view stays valid, with the same bytes, for as long as the program keeps it, whatever happens to the socket.
        If `read_buffer` is set, a view that a listener makes shows that buffer, which the program then must not change.

        Args:
            size: How many bytes at most; all if negative or ``None``.

        Returns:
            A read-only view of the bytes.

        Raises:
            IOError: The socket is not open (#2002).

        Example:
            >>> import hashlib, serversocket
            >>> digest = hashlib.sha256()
            >>> def add(event):
            ...     digest.update(event.target.view())
            ...     event.target.skip()
            >>> socket = serversocket.Socket()
            >>> socket.add_event_listener("socketData", add)
        """
        cdef Py_ssize_t wanted
        self._require(FINISHED, "view")
        wanted = self._amount(size)
        return self._shown(wanted)

    def skip(self, size=-1):
        """Consumes bytes without returning them: for those that `view` has shown, or that the program does not need.

        Args:
            size: How many bytes at most; all if negative or ``None``.

        Returns:
            How many bytes were consumed.

        Raises:
            IOError: The socket is not open (#2002).
        """
        cdef Py_ssize_t wanted
        self._require(FINISHED, "skip")
        wanted = self._amount(size)
        self._advance(wanted)
        return wanted

    def readinto(self, buffer):
        """Reads the bytes that are available into a writable buffer. Bytes that are there already are not copied.

        Args:
            buffer: A writable contiguous buffer, such as a bytearray, a writable memoryview or an array.

        Returns:
            How many bytes were read.

        Raises:
            IOError: The socket is not open (#2002).
            TypeError: `buffer` is not a writable buffer.
        """
        cdef Py_buffer view
        cdef Py_ssize_t count
        self._require(FINISHED, "readinto")
        open_buffer("buffer", buffer, &view)
        count = min(view.len, self.size)
        try:
            if count:
                self._copy(<char *> view.buf, count)
                self._advance(count)
        finally:
            PyBuffer_Release(&view)
        return count

    def _consume(self, Py_ssize_t size, str call not None):
        self._require_exactly(size, call)
        return self._take(size)

    def _lookahead(self, Py_ssize_t size, str call not None):
        self._require_exactly(size, call)
        return PyBytes_FromStringAndSize(self.data, size)

    @cython.final
    cdef int _require(self, State least, str call) except -1:
        """Refuses a call on a socket that is not open: `least` is CONNECTED, or FINISHED where input may be left."""
        if self._reactor is None or this_thread() != self._reactor.thread:
            self._check()
        if self.state == CONNECTED or (least == FINISHED and self.state == FINISHED):
            return 0
        raise errors.not_open(call)

    @cython.final
    cdef int _require_exactly(self, Py_ssize_t size, str call) except -1:
        self._require(FINISHED if self.size else CONNECTED, call)
        if size > self.size:
            raise errors.end_of_file(call, size, self.size)
        return 0

    @cython.final
    cdef Py_ssize_t _amount(self, size) except -1:
        cdef Py_ssize_t wanted
        if size is ALL or size is None:
            return self.size
        wanted = PyNumber_AsSsize_t(size, NULL)
        return self.size if wanted < 0 or wanted > self.size else wanted

    @cython.final
    cdef bytes _take(self, Py_ssize_t size):
        cdef bytes taken
        if size >= WORTH_GIVING and size == self.size:
            taken = self._whole()
            if taken is not None:
                return taken
        taken = PyBytes_FromStringAndSize(self.data, size)
        self._advance(size)
        return taken

    @cython.final
    cdef bytes _whole(self):
        """Returns all input as the bytes object in which it lies; None if there is none, or it is visible elsewhere."""
        cdef Reactor reactor = self._reactor
        cdef bint landed = self.store is None
        cdef PyObject *memory = <PyObject *> reactor.buffer if landed else <PyObject *> self.store
        cdef Py_ssize_t size = self.size
        if memory == <PyObject *> None or not only_reference(memory) or self.data != PyBytes_AS_STRING(<object> memory):
            return None
        if landed and not reactor.wary:
            self._drop_input()
            return <bytes> cut(memory, size)
        Py_INCREF(<object> memory)
        if landed:
            reactor.buffer = None
            reactor.wary -= 1
        self._drop_input()
        try:
            return shorten(memory, size)
        except MemoryError:
            self._input_lost()
            raise

    @cython.final
    cdef int _copy(self, char *target, Py_ssize_t count) except -1:
        cdef char *data = self.data
        cdef Py_ssize_t size = self.size
        if target == data:
            return 0
        if data < target < data + size:
            # It is part of the `read_buffer` in which the input stands, and what comes behind is still to be read.
            self._drop_input()
            if not self._append_input(data, size):
                self.data = data
                self.size = size
                raise errors.out_of_memory("readinto")
        system.memmove(target, self.data, count)
        return 0

    @cython.final
    cdef object _shown(self, Py_ssize_t size):
        cdef Reactor reactor = self._reactor
        cdef bytes memory = reactor.buffer if self.store is None else self.store
        cdef Py_ssize_t offset
        if size == 0:
            return memoryview(b"")
        if memory is not None:
            offset = self.data - PyBytes_AS_STRING(memory)
            if 0 <= offset <= PyBytes_GET_SIZE(memory) - size:
                forget_hash(memory)
                return memoryview(memory)[offset:offset + size]
        offset = self._offset_in_lent()
        if offset >= 0:
            return memoryview(self.lent).cast("B")[offset:offset + size].toreadonly()
        size = min(size, self.size)     # a buffer that is written in Python may have read meanwhile
        return memoryview(PyBytes_FromStringAndSize(self.data, size))

    @cython.final
    cdef Py_ssize_t _offset_in_lent(self) except -2:
        """Returns where in `read_buffer` the input is; -1 if elsewhere, or in a format that cannot be cast to bytes."""
        cdef Py_buffer view
        cdef Py_ssize_t offset
        if self.lent is None:
            return -1
        try:
            memoryview(self.lent).cast("B")
            PyObject_GetBuffer(self.lent, &view, PyBUF_SIMPLE)
        except (BufferError, TypeError, ValueError):
            return -1
        offset = self.data - <char *> view.buf
        if offset < 0 or offset + self.size > view.len:
            offset = -1
        PyBuffer_Release(&view)
        return offset

    @cython.final
    cdef void _advance(self, Py_ssize_t count) noexcept:
        if self.size == count:
            self._drop_input()
            return
        self.data += count
        self.size -= count
        if self.store is not None:
            self._reactor.kept -= count
            self._compact()

    @cython.final
    cdef void _compact(self) noexcept:
        """Moves unread input to smaller memory if it takes up the smaller part of its own."""
        if PyBytes_GET_SIZE(self.store) > 2 * (self.size + LEAST_STORE):
            self._move_input(self.size)

    @cython.final
    cdef void _drop_input(self) noexcept:
        if self.store is not None:
            self._reactor.kept -= self.size
            self.store = None
        self.data = NULL
        self.size = 0

    @cython.final
    cdef bint _append_input(self, const char *data, Py_ssize_t size) except -1:
        """Appends to its own memory; returns False, with the earlier input unchanged, if the system has no memory."""
        cdef Py_ssize_t needed = self.size + size
        cdef Py_ssize_t wanted = needed + needed // 4
        if self.store is None or not only_reference(<PyObject *> self.store):
            if not self._move_input(wanted):
                return False
        elif self.data + needed > PyBytes_AS_STRING(self.store) + PyBytes_GET_SIZE(self.store):
            if self._extend_store(wanted) < needed:
                return False
        system.memcpy(self.data + self.size, data, size)
        self.size = needed
        self._reactor.kept += size
        return True

    @cython.final
    cdef bint _move_input(self, Py_ssize_t capacity) noexcept:
        """Moves unread input to new memory of its own; returns False, and leaves it, if the system has no memory."""
        cdef bytes store
        try:
            store = PyBytes_FromStringAndSize(NULL, max(capacity, <Py_ssize_t> LEAST_STORE))
        except MemoryError:
            return False
        if self.size:
            system.memcpy(PyBytes_AS_STRING(store), self.data, self.size)
        self.store = store
        self.data = PyBytes_AS_STRING(store)
        return True

    @cython.final
    cdef Py_ssize_t _extend_store(self, Py_ssize_t capacity) except -1:
        """Makes room in memory that is visible nowhere else, and enlarges it if necessary; returns its size."""
        cdef PyObject *store = <PyObject *> self.store
        system.memmove(PyBytes_AS_STRING(self.store), self.data, self.size)
        if PyBytes_GET_SIZE(self.store) < capacity:
            Py_INCREF(self.store)
            self.store = None
            self.store = lengthen(store, capacity)
        self.data = PyBytes_AS_STRING(self.store)
        return PyBytes_GET_SIZE(self.store)

    cdef int _input_lost(self) except -1:
        """Called when input was dropped for want of memory: the stream is truncated, and must not go on."""
        return 0


cdef int open_buffer(str parameter, buffer, Py_buffer *view, str expected="a writable buffer") except -1:
    """Opens a contiguous buffer that can be written to, and locks it."""
    if not PyObject_CheckBuffer(buffer):
        raise errors.wrong_type(parameter, buffer, expected)
    try:
        PyObject_GetBuffer(buffer, view, PyBUF_WRITABLE)
    except (BufferError, TypeError, ValueError):
        raise errors.wrong_type(parameter, buffer, expected) from None
    return 0

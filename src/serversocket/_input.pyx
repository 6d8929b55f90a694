# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: embedsignature=True, always_allow_keywords=True
"""`Input`: what has arrived at a connection and is not read yet, and how the program reads it."""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.object cimport PyObject
from cpython.ref cimport Py_INCREF

from . cimport _system as system
from ._reactor cimport READ_SIZE, Py_REFCNT, Reactor, Source, this_thread

from . import errors

cdef extern from "Python.h":
    """
    /* Cuts a bytes object that nobody else has seen, or that nobody else holds any more. Takes the reference. */
    static PyObject *shorten(PyObject *memory, Py_ssize_t size)
    {
        _Pragma("GCC diagnostic push")
        _Pragma("GCC diagnostic ignored \\"-Wdeprecated-declarations\\"")
        ((PyBytesObject *)memory)->ob_shash = -1;
        _Pragma("GCC diagnostic pop")
        if (Py_SIZE(memory) != size)
            _PyBytes_Resize(&memory, size);
        return memory;
    }
    """
    object shorten(PyObject *memory, Py_ssize_t size)
    Py_ssize_t PyNumber_AsSsize_t(object value, PyObject *overflow) except? -1


cdef enum:
    LEAST_STORE = 256           # bytes; what is kept grows by doubling from here
    WORTH_GIVING = 8192         # from here on, handing memory over costs less than copying what is in it

cdef object ALL = -1


@cython.no_gc_clear
@cython.auto_pickle(False)      # it would take `data` for a text
cdef class Input(Source):
    """The reading half of a connection.

    Input is a view, `data` and `size`. While a listener of `socketData` runs it lies where it was received: in the
    reactor's memory or in the program's `read_buffer`. What the listener leaves is moved to memory of its own
    (`store`) when it returns. So a message that is read at once is copied once, from there to where the program wants
    it; and a large one not at all, for then the program gets the memory itself.

    Memory that the program can see, through a view or as bytes, is never written to again: it is used again only where
    the reference that counts is the only one.
    """

    @property
    def bytes_available(self):
        """How many bytes can be read (AIR: ``bytesAvailable``)."""
        return self.size

    @property
    def read_buffer(self):
        """Where input is received: the program's own memory, from its beginning, instead of the reactor's.

        ``None``, the default, or a writable buffer with contiguous memory, such as a bytearray, a memoryview or an
        ``mmap``. So much as fits is received at once, straight into it; while the listeners of ``socketData`` run it
        stands there, and `readinto` of the same memory copies nothing. What they leave unread is moved away when they
        return: between events the memory is the program's to use, to resize or to exchange.

        Raises:
            TypeError: Set to what is no writable buffer.
            ValueError: Set to a buffer of no bytes.

        Example:
            >>> import serversocket
            >>> socket = serversocket.Socket()
            >>> socket.read_buffer = bytearray(1 << 20)
        """
        return self.lent

    @read_buffer.setter
    def read_buffer(self, buffer):
        cdef Py_buffer view
        cdef Py_ssize_t length
        self._check()
        if buffer is not None:
            _open_buffer("read_buffer", buffer, &view)
            length = view.len
            PyBuffer_Release(&view)
            if length == 0:
                raise ValueError(f"read_buffer must have room for at least one byte, not {buffer!r}")
        self.lent = buffer

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

    def view(self, size=-1):
        """As `peek`, but nothing is copied: the bytes where they lie.

        It stays as it is for as long as the program keeps it, whatever becomes of the socket; only with a `read_buffer`
        it shows that.

        Args:
            size: At most so many bytes; negative or ``None``: all.

        Returns:
            A read-only memoryview.

        Raises:
            IOError: The socket is not open (#2002).
        """
        cdef Py_ssize_t wanted
        self._require(FINISHED, "view")
        wanted = self._amount(size)
        return self._shown(wanted)

    def skip(self, size=-1):
        """Drops what is there, as if it had been read.

        Args:
            size: At most so many bytes; negative or ``None``: all.

        Returns:
            How many bytes were dropped.

        Raises:
            IOError: The socket is not open (#2002).
        """
        cdef Py_ssize_t wanted
        self._require(FINISHED, "skip")
        wanted = self._amount(size)
        self._advance(wanted)
        return wanted

    def readinto(self, buffer):
        """Reads what is there into a writable buffer.

        Args:
            buffer: A bytearray, a writable memoryview, an array: what has a contiguous buffer. Where it is the
                `read_buffer`, the bytes stand there already.

        Returns:
            How many bytes were read.

        Raises:
            IOError: The socket is not open (#2002).
            TypeError: `buffer` is no writable buffer.
        """
        cdef Py_buffer view
        cdef Py_ssize_t count
        self._require(FINISHED, "readinto")
        _open_buffer("buffer", buffer, &view)
        count = min(view.len, self.size)
        if count:
            if view.buf != self.data:
                system.memmove(view.buf, self.data, count)
            self._advance(count)
        PyBuffer_Release(&view)
        return count

    def _consume(self, Py_ssize_t size):
        self._exactly(size, "read")
        return self._take(size)

    def _lookahead(self, Py_ssize_t size):
        self._exactly(size, "peek")
        return PyBytes_FromStringAndSize(self.data, size)

    cdef int _require(self, State least, str call) except -1:
        """Refuses a call on a socket that is not open: `least` is CONNECTED, or FINISHED where input may be left."""
        if self._reactor is None or this_thread() != self._reactor.thread:
            self._check()
        if self.state == CONNECTED or (least == FINISHED and self.state == FINISHED):
            return 0
        raise errors.not_open(call)

    cdef int _exactly(self, Py_ssize_t size, str call) except -1:
        self._require(FINISHED if self.size else CONNECTED, call)
        if size > self.size:
            raise errors.end_of_file(call, size, self.size)
        return 0

    cdef Py_ssize_t _amount(self, size) except -1:
        cdef Py_ssize_t wanted
        if size is ALL or size is None:
            return self.size
        wanted = PyNumber_AsSsize_t(size, NULL)
        return self.size if wanted < 0 or wanted > self.size else wanted

    cdef bytes _take(self, Py_ssize_t size):
        cdef bytes taken = self._whole() if size >= WORTH_GIVING and size == self.size else None
        if taken is None:
            taken = PyBytes_FromStringAndSize(self.data, size)
            self._advance(size)
        return taken

    cdef bytes _whole(self):
        """All input as the bytes object in which it lies; None if there is none that nobody else sees."""
        cdef Reactor reactor = self._reactor
        cdef bint landed = self.store is None
        cdef PyObject *memory = <PyObject *> reactor.buffer if landed else <PyObject *> self.store
        cdef Py_ssize_t size = self.size
        if memory == <PyObject *> None or Py_REFCNT(memory) > 1 or self.data != PyBytes_AS_STRING(<object> memory):
            return None
        Py_INCREF(<object> memory)
        if landed:
            reactor.buffer = None
        self._drop_input()
        try:
            return shorten(memory, size)
        except MemoryError:
            self._input_lost()
            raise

    cdef object _shown(self, Py_ssize_t size):
        cdef Reactor reactor = self._reactor
        cdef bytes memory = reactor.buffer if self.store is None else self.store
        cdef Py_ssize_t offset
        if size == 0:
            return memoryview(b"")
        if memory is not None:
            offset = self.data - PyBytes_AS_STRING(memory)
            if 0 <= offset <= PyBytes_GET_SIZE(memory) - size:
                return memoryview(memory)[offset:offset + size]
        offset = self._offset_in_lent()
        if offset >= 0:
            return memoryview(self.lent).cast("B")[offset:offset + size].toreadonly()
        return memoryview(PyBytes_FromStringAndSize(self.data, size))

    cdef Py_ssize_t _offset_in_lent(self) except -2:
        """Where in `read_buffer` the input stands; -1: it does not, or the format is one that no view can be cast from."""
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

    cdef void _advance(self, Py_ssize_t count) noexcept:
        self.data += count
        self.size -= count
        if self.size == 0:
            self._drop_input()

    cdef void _drop_input(self) noexcept:
        self.store = None
        self.data = NULL
        self.size = 0

    cdef bint _append_input(self, const char *data, Py_ssize_t size) except -1:
        """Appends to memory of its own; False, with all that was there still there, if the system has no memory."""
        cdef Py_ssize_t needed = self.size + size
        cdef Py_ssize_t capacity = LEAST_STORE
        cdef bytes store = self.store
        cdef char *start
        if store is not None and Py_REFCNT(<PyObject *> store) == 2 and needed <= PyBytes_GET_SIZE(store):
            start = PyBytes_AS_STRING(store)
            if self.data - start + needed > PyBytes_GET_SIZE(store):
                system.memmove(start, self.data, self.size)
                self.data = start
        else:
            while capacity < needed:
                capacity *= 2
            try:
                store = PyBytes_FromStringAndSize(NULL, capacity)
            except MemoryError:
                return False
            start = PyBytes_AS_STRING(store)
            if self.size:
                system.memcpy(start, self.data, self.size)
            self.data = start
            self.store = store
        system.memcpy(self.data + self.size, data, size)
        self.size = needed
        return True

    cdef int _input_lost(self) except -1:
        """What was there is gone, for want of memory: what comes must not be taken for what comes next."""
        return 0


cdef int _open_buffer(str parameter, buffer, Py_buffer *view) except -1:
    """Opens a buffer that can be written to."""
    if not PyObject_CheckBuffer(buffer):
        raise errors.wrong_type(parameter, buffer, "a writable buffer")
    try:
        PyObject_GetBuffer(buffer, view, PyBUF_WRITABLE)
    except BufferError:
        raise errors.wrong_type(parameter, buffer, "a writable buffer") from None
    return 0

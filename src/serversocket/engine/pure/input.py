"""Input that has arrived at a connection and is not read yet, and how the program reads it."""

from __future__ import annotations

import operator
from contextlib import suppress
from typing import TYPE_CHECKING

from ... import errors
from ..uncaught import leaves
from ..unpatched import get_ident
from .dispatcher import report_error
from .memory import distance, writable
from .output import Output
from .reactor import Reactor
from .source import OPEN

if TYPE_CHECKING:
    from typing_extensions import Buffer

# The states of a stream. They are ordered: from CONNECTED on there may be input, and there are addresses.
CLOSED, CONNECTING, CONNECTED, FINISHED = range(4)

SPARE = 512  # bytes that may lie unused beside what is unread


class Input(Output):
    """The reading half of a connection.

    The unread input is `_input_` from `_start_` on: the `bytes` of one read as they are or, if the program has left
    some of them when more arrives, a bytearray. While the listeners are running it may be a memoryview of the
    program's `read_buffer`.
    """

    _state_ = CLOSED
    _input_: bytes | bytearray | memoryview = b""
    _start_ = 0
    _torn_ = False  # truncated: input was lost, and what comes after it is not read
    _incoming_ = OPEN  # state of the peer's output, where the connection goes on without it
    _read_buffer_: Buffer | None = None

    @property
    def bytes_available(self) -> int:
        """How many bytes can be read now (AIR: ``bytesAvailable``)."""
        return len(self._input_) - self._start_

    @property
    def read_buffer(self) -> Buffer | None:
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
        return self._read_buffer_

    @read_buffer.setter
    def read_buffer(self, value: Buffer | None) -> None:
        self._check_()
        if value is not None:
            with writable("read_buffer", value, "a writable contiguous buffer or None") as memory:
                if not memory:
                    raise errors.bad_argument("read_buffer", f"{errors.shown(value)} is empty")
        self._read_buffer_ = value

    def _require_(self, call: str) -> Reactor:
        """Refuses a call on a socket that is not connected."""
        reactor = self._owner_()
        if self._state_ != CONNECTED:
            raise errors.not_open(call)
        return reactor

    def _require_input_(self, call: str) -> None:
        """Refuses a call unless the socket is connected, or was until the peer left."""
        self._owner_()
        if self._state_ < CONNECTED:
            raise errors.not_open(call)

    def read(self, size: int | None = -1) -> bytes:
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
        reactor = self._reactor_
        if reactor is None or get_ident() != reactor._thread_ or self._state_ < CONNECTED:
            self._require_input_("read")
        data = self._input_
        if size == -1 and not self._start_ and data.__class__ is bytes and size.__class__ is int:
            self._input_ = b""
            if self._counted_:
                self._count_()
            return data  # as it has arrived
        return self._take_(self._amount_(size))

    def peek(self, size: int | None = -1) -> bytes:
        """Does the same as `read`, but the bytes stay unread.

        Args:
            size: How many bytes at most; all if negative or ``None``.

        Raises:
            IOError: The socket is not open (#2002).
        """
        self._require_input_("peek")
        return self._front_(self._amount_(size))

    def view(self, size: int | None = -1) -> memoryview:
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
        self._require_input_("view")
        count = self._amount_(size)
        return memoryview(self._input_).toreadonly()[self._start_ : self._start_ + count]

    def skip(self, size: int | None = -1) -> int:
        """Consumes bytes without returning them: for those that `view` has shown, or that the program does not need.

        Args:
            size: How many bytes at most; all if negative or ``None``.

        Returns:
            How many bytes were consumed.

        Raises:
            IOError: The socket is not open (#2002).
        """
        self._require_input_("skip")
        count = self._amount_(size)
        self._advance_(count)
        return count

    def readinto(self, buffer: Buffer) -> int:
        """Reads the bytes that are available into a writable buffer. Bytes that are there already are not copied.

        Args:
            buffer: A writable contiguous buffer, such as a bytearray, a writable memoryview or an array.

        Returns:
            How many bytes were read.

        Raises:
            IOError: The socket is not open (#2002).
            TypeError: `buffer` is not a writable buffer.
        """
        self._require_input_("readinto")
        with writable("buffer", buffer) as target:
            count = self._amount_(len(target))
            if count:
                self._copy_(target, count)
                self._advance_(count)
        return count

    def _copy_(self, target: memoryview, count: int) -> None:
        with memoryview(self._input_)[self._start_ :] as unread:
            if isinstance(self._input_, memoryview):  # in the program's memory, which `target` may be part of
                ahead = distance(unread, target)
                if ahead == 0:
                    return
                if ahead is None or 0 < ahead < len(unread):
                    self._move_input_()
            with unread[:count] as wanted:
                target[:count] = wanted

    def _consume(self, size: int, call: str) -> bytes:
        self._require_exactly_(size, call)
        return self._take_(size)

    def _lookahead(self, size: int, call: str) -> bytes:
        self._require_exactly_(size, call)
        return self._front_(size)

    def _require_exactly_(self, size: int, call: str) -> None:
        available = len(self._input_) - self._start_
        if available:
            self._require_input_(call)
        else:
            self._require_(call)
        if size > available:
            raise errors.end_of_file(call, size, available)

    def _amount_(self, size: int | None) -> int:
        wanted = -1 if size is None else operator.index(size)  # first: it may run Python code that reads
        available = len(self._input_) - self._start_
        return available if wanted < 0 or wanted > available else wanted

    def _front_(self, size: int) -> bytes:
        data, start = self._input_, self._start_
        if data.__class__ is bytes:
            return data[start : start + size]  # the object itself if that is all of it
        with memoryview(data) as view:
            return bytes(view[start : start + size])

    def _take_(self, size: int) -> bytes:
        taken = self._front_(size)
        self._advance_(size)
        return taken

    def _advance_(self, size: int) -> None:
        self._start_ += size
        if self._start_ == len(self._input_):
            self._input_, self._start_ = b"", 0
        if self._counted_:
            self._compact_()
            self._count_()

    def _compact_(self) -> None:
        """Moves unread input to smaller memory if it takes up the smaller part of its own."""
        unread = len(self._input_) - self._start_
        if self._start_ > unread + SPARE and not isinstance(self._input_, memoryview):
            self._move_input_()

    def _append_input_(self, chunk: bytes | memoryview) -> None:
        """Appends to input that the program has left unread."""
        kept = self._input_
        if isinstance(kept, bytearray):
            with suppress(BufferError):  # a view shows it
                del kept[: self._start_]
                self._start_ = 0
                kept += chunk
                return
        with memoryview(kept)[self._start_ :] as unread:
            kept = bytearray(unread)
        kept += chunk
        self._input_, self._start_ = kept, 0

    def _open_lent_(self) -> memoryview | None:
        """Opens the user buffer for one read; returns ``None`` if it is not usable any more."""
        try:
            memory = writable("read_buffer", self._read_buffer_)
        except BaseException as error:
            if leaves(error):
                raise
            self._read_buffer_ = None
            report_error(error, self)
            return None
        if memory:
            return memory
        self._read_buffer_ = None
        return None

    def _move_input_(self) -> None:
        """Moves unread input to the stream's own memory."""
        self._input_, self._start_ = self._front_(len(self._input_) - self._start_), 0

"""The connection: its input, its output, its life; and the connect that leads to one."""

from __future__ import annotations

import errno
import operator
import socket
import struct
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from threading import get_ident
from typing import TYPE_CHECKING, Protocol, SupportsBytes

from .. import errors
from .events import CLOSE, CONNECT, OUTPUT_PROGRESS, SOCKET_DATA, Event, OutputProgressEvent, report_error, socket_data
from .memory import distance, writable
from .reactor import READ, WRITE, Reactor, Slot
from .sockets import SocketAddress, Source, host_of, port_of

if TYPE_CHECKING:
    from typing_extensions import Buffer

READ_SIZE = 65536  # larger buffers cost an mmap each time they are allocated
READS_PER_TURN = 4  # of one stream, so that a fast sender cannot starve the others
READS_AT_THE_END = 1024  # more than any socket buffer holds
CHUNKS_PER_SEND = 64  # pieces of output in one sendmsg
COPY_BELOW = 4096  # smaller writes behind another are joined, larger ones queued as they are
TAIL_LIMIT = 65536  # how far joined writes may grow
LINGER_SECONDS = 2.0  # for the peer to fetch what was sent to it before it was closed

MSG_NOSIGNAL: int = getattr(socket, "MSG_NOSIGNAL", 0)
IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR)
RESET = struct.pack("HH" if sys.platform == "win32" else "ii", 1, 0)  # SO_LINGER: on, no seconds


class Cancellable(Protocol):
    """What is under way, such as an attempt to connect."""

    def cancel(self) -> None: ...


Output = deque[bytes | bytearray | memoryview]

# The states of a stream. They are ordered: from CONNECTED on there may be input, and there are addresses.
CLOSED, CONNECTING, CONNECTED, FINISHED = range(4)


class Stream(Source):
    """A connection. The public class is `serversocket.Socket`.

    Input is what has arrived, from `_start_` on: the `bytes` of one read as they are, and where the program leaves
    something of them when more arrives, a bytearray. While the listeners run it may be a memoryview of the program's
    `read_buffer`.

    Output is a queue of `bytes` as the program gave them, bytearrays in which small writes are joined, and in front
    perhaps the memoryview of a piece that is partly sent.
    """

    _state_ = CLOSED
    _attempt_: Cancellable | None = None
    _remote_: SocketAddress | None = None
    _local_: SocketAddress | None = None  # once FINISHED; until then the descriptor is asked
    _no_delay_ = False

    _input_: bytes | bytearray | memoryview = b""
    _start_ = 0
    _read_buffer_: Buffer | None = None

    _output_: Output | None = None
    _pending_ = 0
    _written_ = 0
    _serving_ = False  # its own listeners run: what they write is sent when they are done
    _dirty_ = False  # in the reactor's queue of streams to be sent
    _blocked_ = False  # the system takes no more: wait until it does
    _progressed_ = False  # an outputProgress event is due
    _failure_ = 0  # the errno of a failed send
    _attending_ = False  # in the reactor's queue of what is postponed

    if TYPE_CHECKING:

        def _broken(self, code: int, call: str) -> None: ...
        def _coerce(self, data: object) -> bytes: ...

    # ---- state

    @property
    def connected(self) -> bool:
        """Whether the socket is connected (AIR: ``connected``)."""
        return self._state_ == CONNECTED

    @property
    def bytes_available(self) -> int:
        """How many bytes can be read (AIR: ``bytesAvailable``)."""
        return len(self._input_) - self._start_

    @property
    def bytes_pending(self) -> int:
        """How many bytes were written and are not sent yet (AIR: ``bytesPending``)."""
        return self._pending_

    @property
    def remote_address(self) -> str | None:
        """The peer's IP address, or ``None`` (AIR: ``remoteAddress``); it outlives the peer's leaving."""
        return host_of(self._remote_) if self._state_ >= CONNECTED else None

    @property
    def remote_port(self) -> int:
        """The peer's port, or 0 (AIR: ``remotePort``); it outlives the peer's leaving."""
        return port_of(self._remote_) if self._state_ >= CONNECTED else 0

    @property
    def local_address(self) -> str | None:
        """The IP address of this end, or ``None`` (AIR: ``localAddress``); it outlives the peer's leaving."""
        return host_of(self._local_address_())

    @property
    def local_port(self) -> int:
        """The port of this end, or 0 (AIR: ``localPort``); it outlives the peer's leaving."""
        return port_of(self._local_address_())

    def _local_address_(self) -> SocketAddress | None:
        if self._state_ == FINISHED:
            return self._local_
        if self._state_ == CONNECTED and self._socket_ is not None:
            with suppress(OSError):
                address: SocketAddress = self._socket_.getsockname()
                return address
        return None

    @property
    def tcp_no_delay(self) -> bool:
        """Whether small writes are sent at once, without Nagle's algorithm (AIR: ``tcpNoDelay``); off at first."""
        return self._no_delay_

    @tcp_no_delay.setter
    def tcp_no_delay(self, value: bool) -> None:
        self._check_()
        self._no_delay_ = bool(value)
        if self._socket_ is not None:
            self._socket_.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, self._no_delay_)

    @property
    def read_buffer(self) -> Buffer | None:
        """The program's own memory that input is received into; ``None``, the default: the engine's.

        A bytearray, a writable memoryview, an array, an mmap: what has a writable contiguous buffer. What arrives is
        received straight into it, as much at once as it holds. While the listeners of ``socketData`` run, the bytes
        lie at its beginning, unless some were left from earlier: `readinto` always puts them in their place, and
        copies nothing where they lie there already. What the listeners leave is moved to memory of the socket's own,
        so that between events the buffer is the program's: it may be changed, resized, and shared by several sockets.

        It stays set over reconnects. A buffer that can be had no more, or is empty by then, becomes ``None``; the bytes
        arrive even so. If it was released or closed, the error becomes an ``uncaughtError`` event.

        Raises:
            TypeError: The value is no writable contiguous buffer.
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

    @property
    def _opened(self) -> bool:
        return self._state_ in (CONNECTING, CONNECTED)

    def _require_(self, call: str) -> Reactor:
        """Refuses a call on a socket that is not connected."""
        reactor = self._owner_()
        if self._state_ != CONNECTED:
            raise errors.not_open(call)
        return reactor

    def _require_input_(self, call: str) -> None:
        """Refuses a call on a socket that is not connected and was not until the peer left."""
        self._owner_()
        if self._state_ < CONNECTED:
            raise errors.not_open(call)

    def _listening_changed(self, type: str, present: bool) -> None:
        if self._slot_ is not None:
            self._hold_(self._slot_)

    def _hold_(self, slot: Slot) -> None:
        slot.owner = self if self._listeners_ or self._pending_ else None

    def _settle_(self) -> None:
        """Registers what follows from the state, once the program's call has returned."""
        slot = self._slot_
        if slot is None or self._reactor_ is None:
            return
        self._hold_(slot)
        events = READ | WRITE if self._blocked_ else READ
        if events != slot.events:
            try:
                self._reactor_._watch_(slot, events)
            except OSError as error:
                self._fail_(error.errno or errno.EIO)

    def _discard_(self) -> None:
        """Closes without events, and forgets input and output."""
        self._state_ = CLOSED
        self._input_, self._start_ = b"", 0
        self._failure_ = 0
        self._drop_output_()
        self._shut_()

    # ---- input

    def read(self, size: int | None = -1) -> bytes:
        """Reads what is there, at once.

        Args:
            size: At most so many bytes; negative or ``None``: all.

        Returns:
            The bytes; ``b""`` if nothing is there.

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
            return data  # as it has arrived
        return self._take_(self._amount_(size))

    def peek(self, size: int | None = -1) -> bytes:
        """As `read`, but the bytes stay.

        Args:
            size: At most so many bytes; negative or ``None``: all.

        Raises:
            IOError: The socket is not open (#2002).
        """
        self._require_input_("peek")
        return self._front_(self._amount_(size))

    def view(self, size: int | None = -1) -> memoryview:
        """As `peek`, but without a copy: the bytes where they lie.

        The view stays valid, with the same bytes, for as long as the program keeps it, whatever becomes of the socket.
        Where `read_buffer` is set, a view that is made by a listener shows that buffer: it is the program's to keep.

        Args:
            size: At most so many bytes; negative or ``None``: all.

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
        """As `read`, but makes nothing of the bytes: for those that a `view` has shown, or that nobody wants.

        Args:
            size: At most so many bytes; negative or ``None``: all.

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
        """Reads what is there into a writable buffer. Bytes that lie there already are not copied.

        Args:
            buffer: A bytearray, a writable memoryview, an array: what has a contiguous buffer.

        Returns:
            How many bytes were read.

        Raises:
            IOError: The socket is not open (#2002).
            TypeError: `buffer` is no writable buffer.
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
                    self._take_back_()
            with unread[:count] as wanted:
                target[:count] = wanted

    def _consume(self, size: int) -> bytes:
        self._require_exactly_(size, "read")
        return self._take_(size)

    def _lookahead(self, size: int) -> bytes:
        self._require_exactly_(size, "peek")
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

    def _keep_input_(self, chunk: bytes | memoryview) -> None:
        """Appends to input that the program has left."""
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

    def _borrow_(self) -> memoryview | None:
        """The program's memory for one read; ``None`` if it cannot be had any more."""
        try:
            memory = writable("read_buffer", self._read_buffer_)
        except Exception as error:
            self._read_buffer_ = None
            report_error(error, self)
            return None
        if memory:
            return memory
        self._read_buffer_ = None
        return None

    def _take_back_(self) -> None:
        """Moves unread input from the program's memory to the stream's own."""
        self._input_, self._start_ = self._front_(len(self._input_) - self._start_), 0

    # ---- output

    def write(self, data: Buffer | SupportsBytes) -> int:
        """Queues bytes to be sent. They go out with `flush` or at the end of the reactor's turn.

        Args:
            data: Any bytes-like object. ``bytes`` are kept by reference, anything mutable is copied.

        Returns:
            How many bytes were queued: all of them.

        Raises:
            IOError: The socket is not connected (#2002).
            TypeError: `data` is not bytes-like.
        """
        reactor = self._reactor_
        if reactor is None or get_ident() != reactor._thread_ or self._state_ != CONNECTED:
            reactor = self._require_("write")
        if data.__class__ is not bytes:
            data = self._as_bytes_(data)
        count = len(data)
        if not count:
            return 0
        output = self._output_
        if output is None:
            output = self._output_ = deque()
        if not output or count >= COPY_BELOW:
            output.append(data)
        else:
            last = output[-1]
            if isinstance(last, bytearray) and len(last) + count <= TAIL_LIMIT:
                last += data
            else:
                output.append(bytearray(data))
        self._pending_ += count
        self._written_ += count
        if not (self._serving_ or self._dirty_ or self._blocked_):
            self._dirty_ = True
            reactor._dirty_.append(self)
            if reactor._alarm_ is not None:
                reactor._show_work_()
        return count

    def _as_bytes_(self, data: Buffer | SupportsBytes) -> bytes:
        try:
            view = memoryview(data)  # type: ignore[arg-type]
        except TypeError:
            copied = self._coerce(data)
        else:
            with view:
                copied = view.tobytes()
        self._require_("write")  # Python code may have run meanwhile
        return copied

    def flush(self) -> None:
        """Hands queued output to the system at once, as much as it takes (AIR: ``flush``).

        Raises:
            IOError: The socket is not connected (#2002).
        """
        self._require_("flush")
        self._send_()

    def _send_written_(self) -> None:
        self._dirty_ = False
        self._send_()

    def _send_(self) -> None:
        """Sends what the system takes now; what follows from it comes in the last step of the turn."""
        if self._blocked_ or not self._pending_:
            return
        if self._transmit_():
            self._settle_()
        elif not self._listeners_ and self._slot_ is not None:
            self._hold_(self._slot_)
        if self._progressed_:
            self._attend_later_()

    def _transmit_(self) -> bool:
        """Sends what the system takes; whether it is full now."""
        sock, output = self._socket_, self._output_
        if sock is None or output is None:
            return False
        before = self._pending_
        try:
            while output:
                if len(output) == 1:
                    offered = self._pending_
                    sent = sock.send(output[0], MSG_NOSIGNAL)
                    if sent == offered:
                        output.clear()
                        self._pending_ = 0
                        break
                else:
                    sent, offered = _send_several(sock, output)
                self._pending_ -= sent
                _take_off(output, sent)
                if sent < offered:  # more would only be refused
                    self._blocked_ = True
                    break
        except (BlockingIOError, InterruptedError):
            self._blocked_ = True
        except OSError as error:
            self._fail_(error.errno or errno.EIO)
        if OUTPUT_PROGRESS in self._listeners_ and self._pending_ < before and not self._failure_:
            self._progressed_ = True
        return self._blocked_

    def _drop_output_(self) -> None:
        self._output_ = None
        self._pending_ = 0
        self._blocked_ = self._progressed_ = False

    def _fail_(self, failure: int) -> None:
        """Breaks the connection in the last step of the turn: nobody hears of it from inside his own call."""
        self._failure_ = failure
        self._drop_output_()
        self._attend_later_()

    def _attend_later_(self) -> None:
        if not self._attending_ and self._reactor_ is not None:
            self._reactor_._postpone_(self._attend_)
            self._attending_ = True

    def _attend_(self) -> None:
        self._attending_ = False
        if self._progressed_:
            self._tell_progress_()
        sock, failure = self._socket_, self._failure_
        if failure and sock is not None:
            self._receive_(sock, READS_AT_THE_END)
            if self._socket_ is sock:
                self._finish_(failure, "send")

    def _tell_progress_(self) -> None:
        self._progressed_ = False
        entries = self._listeners_.get(OUTPUT_PROGRESS)
        if entries and self._state_ == CONNECTED:
            event = OutputProgressEvent(OUTPUT_PROGRESS, False, False, self._pending_, self._written_)
            self._serving_ = True
            try:
                self._deliver_(event, entries)
            finally:
                self._served_()

    # ---- readiness

    def _ready_(self, events: int) -> None:
        sock = self._socket_
        if sock is None:
            return
        if events & READ:
            self._serving_ = True
            try:
                self._receive_(sock, READS_PER_TURN)
            finally:
                self._served_()
        if events & WRITE and self._blocked_ and self._socket_ is sock:
            self._blocked_ = False
            self._transmit_()
            self._settle_()
            if self._progressed_:
                self._tell_progress_()

    def _served_(self) -> None:
        """Sends what its own listeners wrote, while it is still in the processor's cache."""
        self._serving_ = False
        if self._pending_ and not self._dirty_:
            self._send_()

    def _receive_(self, sock: socket.socket, reads: int) -> None:
        """Reads and delivers, until the system has no more or `reads` is reached."""
        for _ in range(reads):
            borrowed = None
            # Not for what is left in the end: `reads` of a small buffer might not hold it.
            if self._read_buffer_ is not None and not self._failure_:
                borrowed = self._borrow_()
                if self._socket_ is not sock:
                    return
            room = READ_SIZE if borrowed is None else len(borrowed)
            try:
                chunk = sock.recv(READ_SIZE) if borrowed is None else _receive_into(sock, borrowed)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._finish_(self._failure_ or error.errno or errno.EIO, "send" if self._failure_ else "recv")
                return
            if not chunk:
                self._finish_(self._failure_, "send")
                return
            size = len(chunk)
            if self._input_:
                self._keep_input_(chunk)
            else:
                self._input_ = chunk
            entries = self._listeners_.get(SOCKET_DATA)
            try:
                if entries:
                    self._deliver_(socket_data(size), entries)
            finally:
                if isinstance(chunk, memoryview):
                    if self._input_ is chunk:
                        self._take_back_()
                    chunk.release()
            if self._socket_ is not sock or (size < room and not self._failure_):
                return

    def _finish_(self, failure: int, call: str) -> None:
        """The peer has closed, or the connection broke."""
        if not failure and self._pending_:
            self._transmit_()
            failure, call = self._failure_, "send"
        self._local_ = self._local_address_()
        self._state_ = FINISHED
        if self._pending_ and not failure:
            self._linger_(ended=True)
        self._drop_output_()
        self._failure_ = 0
        self._shut_()
        try:
            if failure:
                self._broken(failure, call)
        finally:
            entries = self._listeners_.get(CLOSE)
            if entries and self._state_ == FINISHED:
                self._deliver_(Event(CLOSE), entries)

    # ---- the end

    def close(self) -> None:
        """Sends what is pending and closes (AIR: ``close``). Unread input is dropped; there is no event.

        Raises:
            IOError: The socket is not open (#2002).
        """
        if self._reactor_is_dead_():
            self._discard_()
            return
        self._check_()
        if self._state_ == CONNECTING:
            self._connecting_failed()
            return
        self._require_("close")
        if self._pending_ and not self._blocked_:
            self._transmit_()
        if self._pending_ or (self._written_ and not self._failure_ and self._input_waits_()):
            self._linger_()
        self._discard_()

    def abort(self) -> None:
        """Drops what is pending and resets the connection; the peer sees an error. There is no event.

        Raises:
            IOError: The socket is not connected (#2002).
        """
        self._require_("abort")
        if self._socket_ is not None:
            _reset(self._socket_)
        self._discard_()

    def _linger_(self, ended: bool = False) -> None:
        """Hands the descriptor and what is still to be sent to a Lingerer."""
        reactor, sock, output = self._reactor_, self._let_go_(), self._output_
        if reactor is not None and sock is not None:
            Lingerer(reactor, sock, deque() if output is None else output, ended)

    def _input_waits_(self) -> bool:
        """Whether there is input that nobody has read: then `close` would reset the connection."""
        try:
            return self._socket_ is not None and bool(self._socket_.recv(1, socket.MSG_PEEK))
        except OSError:
            return False

    # ---- beginning

    def _accept_(self, reactor: Reactor, accepted: socket.socket, peer: SocketAddress) -> None:
        self._reactor_ = reactor
        self._own_(reactor, accepted)
        self._remote_ = peer
        self._state_ = CONNECTED

    def _begin_connecting(self, attempt: Cancellable) -> None:
        self._discard_()
        self._attempt_ = attempt
        self._state_ = CONNECTING

    def _connecting_failed(self) -> None:
        attempt, self._attempt_ = self._attempt_, None
        self._state_ = CLOSED
        if attempt is not None:
            attempt.cancel()

    def _adopt(self, connector: Connector) -> None:
        reactor, sock = self._owner_(), connector._let_go_()
        if sock is None:
            raise errors.not_open("connect")
        self._discard_()
        self._attempt_ = None
        self._written_ = 0
        self._own_(reactor, sock)
        self._state_ = CONNECTED
        try:
            self._remote_ = sock.getpeername()
        except OSError:
            self._remote_ = connector._address_  # it is gone again
        if self._no_delay_:
            try:
                self.tcp_no_delay = True
            except OSError as error:
                self._fail_(error.errno or errno.EIO)
        entries = self._listeners_.get(CONNECT)
        try:
            if entries:
                self._deliver_(Event(CONNECT), entries)
        finally:
            if self._socket_ is sock:
                self._settle_()


def _receive_into(sock: socket.socket, memory: memoryview) -> bytes | memoryview:
    """As `recv`; gives the memory back, except for the part that holds what was received."""
    with memory:
        size = sock.recv_into(memory)
        return memory[:size] if size else b""


def _reset(sock: socket.socket) -> None:
    """Makes the close that follows a reset."""
    with suppress(OSError):  # it is reset already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def _send_several(sock: socket.socket, output: Output) -> tuple[int, int]:
    pieces = list(islice(output, CHUNKS_PER_SEND))
    offered = sum(map(len, pieces))
    if sys.platform == "win32":
        return sock.send(b"".join(pieces)), offered
    return sock.sendmsg(pieces, (), MSG_NOSIGNAL), offered


def _take_off(output: Output, sent: int) -> None:
    while output and sent >= len(output[0]):
        sent -= len(output.popleft())
    if sent:
        output[0] = memoryview(output[0])[sent:]


class Lingerer(Source):
    """What is left of a stream that was closed too early to just close its descriptor.

    It sends what is pending, tells the peer that nothing more comes, and closes when the peer does, or after a while.
    Meanwhile it reads and forgets: where input is unread, `close` makes the system reset the connection and drop
    what the peer has not fetched yet.
    """

    _quiet_ = True
    _timer_: Cancellable | None = None

    def __init__(self, reactor: Reactor, sock: socket.socket, output: Output, ended: bool) -> None:
        self._attach(reactor)
        self._output_ = output
        self._ended_ = ended  # the peer's output is at its end
        self._own_(reactor, sock).owner = self
        self._settle_()

    def _settle_(self) -> None:
        reactor, sock, slot = self._reactor_, self._socket_, self._slot_
        if reactor is None or sock is None or slot is None:
            return
        interest = 0 if self._ended_ else READ
        try:
            if self._output_:
                interest |= WRITE
            elif self._ended_:
                self._discard_()
                return
            elif self._timer_ is None:
                sock.shutdown(socket.SHUT_WR)
                self._timer_ = reactor.call_later(LINGER_SECONDS, self._discard_)
            reactor._watch_(slot, interest)
        except OSError:
            _reset(sock)  # nobody would ever say that it may go on; the peer must not take this for the end
            self._discard_()

    def _ready_(self, events: int) -> None:
        sock = self._socket_
        if sock is None:
            return
        try:
            if events & READ:
                self._waste_(sock)
            if events & WRITE:
                self._transmit_(sock)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._discard_()  # nobody is there any more
        self._settle_()

    def _waste_(self, sock: socket.socket) -> None:
        """Reads and forgets."""
        for _ in range(READS_PER_TURN):
            size = len(sock.recv(READ_SIZE))
            self._ended_ = not size
            if size < READ_SIZE:
                return

    def _transmit_(self, sock: socket.socket) -> None:
        output = self._output_
        while output:
            sent, offered = _send_several(sock, output)
            _take_off(output, sent)
            if sent < offered:
                return

    def _discard_(self) -> None:
        timer, self._timer_ = self._timer_, None
        self._output_.clear()
        self._shut_()
        if timer is not None and not self._reactor_is_dead_():
            timer.cancel()


class Connector(Source):
    """A connect that is under way.

    Args:
        reactor: The `Reactor` that watches it.
        family: ``AF_INET`` or ``AF_INET6``.
        address: ``(host, port)`` or ``(host, port, flow, scope)``.
        callback: Called with the connector when `errno` tells how it went.
    """

    errno = 0

    def __init__(
        self, reactor: Reactor, family: int, address: SocketAddress, callback: Callable[[Connector], object]
    ) -> None:
        self._attach(reactor)
        self._family_ = family
        self._address_ = address
        self._callback_: Callable[[Connector], object] | None = callback

    def start(self) -> None:
        """Begins; the callback comes from the reactor, never from here."""
        reactor = self._owner_()
        try:
            sock = socket.socket(self._family_, socket.SOCK_STREAM)
        except OSError as error:
            self.errno = error.errno or errno.EIO
        else:
            slot = self._own_(reactor, sock)
            slot.owner = self
            try:
                sock.setblocking(False)
                code = sock.connect_ex(self._address_)
                if code in IN_PROGRESS:
                    reactor._watch_(slot, WRITE)
                    return
                self.errno = code
            except OSError as error:
                self.errno = error.errno or errno.EIO
        reactor._postpone_(self._tell_)

    def cancel(self) -> None:
        """Ends it; the callback is not called any more."""
        self._callback_ = None
        self._shut_()

    def _ready_(self, events: int) -> None:
        if self._socket_ is not None:
            try:
                self.errno = self._socket_.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            except OSError as error:
                self.errno = error.errno or errno.EIO
            self._tell_()

    def _tell_(self) -> None:
        callback, self._callback_ = self._callback_, None
        if self.errno:
            self._shut_()
        if callback is not None:
            callback(self)


def quicken(cls: type[Stream]) -> None:
    """Nothing is to be done: the interpreter calls methods that are written in Python as directly as it can."""

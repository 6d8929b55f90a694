"""What owns a descriptor: the listening socket, the connection, the connect that is under way.

Two laws hold for every class here. A descriptor has one owner and is closed once, by `Source._shut_`. After every call
of a listener, look again: it may have closed, aborted, connected anew or dropped anything.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
import warnings
import weakref
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from itertools import islice
from threading import get_ident
from typing import TYPE_CHECKING, Any, Protocol

from .. import errors
from ..accepting import Action, action_for
from .events import (
    CLOSE,
    CONNECT,
    OUTPUT_PROGRESS,
    SOCKET_DATA,
    Event,
    EventDispatcher,
    OutputProgressEvent,
    ProgressEvent,
    ServerSocketConnectEvent,
)
from .reactor import READ, READ_SIZE, WRITE, Reactor, Slot

READS_PER_TURN = 4  # of one stream, so that a fast sender cannot starve the others
READS_AT_THE_END = 1024  # more than any socket buffer holds
ACCEPTS_PER_TURN = 64  # of one acceptor, for the same reason
CHUNKS_PER_SEND = 64  # pieces of output in one sendmsg
COPY_BELOW = 4096  # smaller writes behind another are joined, larger ones queued as they are
TAIL_LIMIT = 65536  # how far joined writes may grow

MSG_NOSIGNAL: int = getattr(socket, "MSG_NOSIGNAL", 0)
IS_WINDOWS = sys.platform == "win32"
IN_PROGRESS = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR)
RESET = struct.pack("HH" if IS_WINDOWS else "ii", 1, 0)

_Address = tuple[Any, ...]


def _host(address: _Address | None) -> str | None:
    if not address:
        return None
    host: str = address[0]
    scope: int = address[3] if len(address) > 3 else 0
    if scope and host[:3] in ("fe8", "fe9", "fea", "feb"):
        try:
            return f"{host}%{socket.if_indextoname(scope)}"
        except OSError:
            return f"{host}%{scope}"
    return host


def _port(address: _Address | None) -> int:
    return int(address[1]) if address else 0


class Source(EventDispatcher):
    """Owns one descriptor of a reactor."""

    _reactor_: Reactor | None = None
    _socket_: socket.socket | None = None
    _slot_: Slot | None = None
    _quiet_ = False  # collected by design: no ResourceWarning

    def __del__(self, warn: Callable[..., None] = warnings.warn) -> None:
        if self._socket_ is not None:
            if not self._quiet_:
                fd = self._socket_.fileno()
                warn(f"a socket was collected while it was open: descriptor {fd}", ResourceWarning, source=self)
            self._shut_()

    @property
    def reactor(self) -> Any:
        """The `Reactor` that this object belongs to."""
        return self._reactor_

    def _attach(self, reactor: Reactor) -> None:
        reactor._open_selector_()
        self._reactor_ = reactor

    def _check_(self) -> None:
        reactor = self._reactor_
        if reactor is None or get_ident() != reactor._thread_:
            self._owner_()

    def _owner_(self) -> Reactor:
        """The reactor, from the thread that owns it."""
        if self._reactor_ is None:
            raise RuntimeError(f"{type(self).__name__}.__init__() was not called")
        self._reactor_._check_()
        return self._reactor_

    def _own_(self, reactor: Reactor, sock: socket.socket) -> Slot:
        """Takes a descriptor over; if that fails it is closed."""
        try:
            self._slot_ = reactor._enroll_(self, sock.fileno())
        except BaseException:
            sock.close()
            raise
        self._socket_ = sock
        return self._slot_

    def _let_go_(self) -> socket.socket | None:
        """Gives the descriptor up, out of the selector first."""
        sock, slot = self._socket_, self._slot_
        self._socket_ = self._slot_ = None
        if slot is not None and self._reactor_ is not None:
            self._reactor_._withdraw_(slot)
        return sock

    def _shut_(self) -> None:
        """Closes the descriptor."""
        sock = self._let_go_()
        if sock is not None:
            _close(sock)

    def _discard_(self) -> None:
        """Closes without events: the reactor is closed, or forked."""
        self._shut_()

    def _lost_(self) -> None:
        """Somebody closed the descriptor, and the system has given its number out again."""
        sock = self._let_go_()
        if sock is not None:
            sock.detach()
        self._discard_()

    def _ready_(self, events: int) -> None:
        """The descriptor is ready."""

    def fileno(self) -> int:
        """The descriptor.

        Raises:
            IOError: There is none: the socket is not open (#2002).
        """
        self._check_()
        if self._socket_ is None:
            raise errors.not_open("fileno")
        return self._socket_.fileno()


def _close(sock: socket.socket) -> None:
    with suppress(OSError):  # somebody else closed this number, or the connection is reset: it is gone in any case
        sock.close()


class Acceptor(Source):
    """A listening socket. The public class is `serversocket.ServerSocket`."""

    _socket_class: type[Stream]
    _address_: _Address | None = None
    _listening_ = False
    _paused_ = False

    if TYPE_CHECKING:

        def _accept_failed(self, code: int) -> None: ...

    @property
    def bound(self) -> bool:
        """Whether the socket is bound to a local address and port (AIR: ``bound``)."""
        return self._socket_ is not None

    @property
    def listening(self) -> bool:
        """Whether the socket listens for connections (AIR: ``listening``)."""
        return self._listening_

    @property
    def local_address(self) -> str | None:
        """The IP address that the socket is bound to, or ``None`` (AIR: ``localAddress``)."""
        return _host(self._address_)

    @property
    def local_port(self) -> int:
        """The port that the socket is bound to, or 0 (AIR: ``localPort``)."""
        return _port(self._address_)

    def _bind(self, family: int, host: str, port: int, scope_id: int, v6_only: bool) -> None:
        reactor = self._owner_()
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            if family == socket.AF_INET6:
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, v6_only)
                _bind_apart(sock, (host, port, 0, scope_id))
            else:
                _bind_apart(sock, (host, port))
            address = sock.getsockname()
        except BaseException:
            sock.close()
            raise
        self._own_(reactor, sock)
        self._address_ = address
        self._settle_()

    def _listen(self, backlog: int) -> None:
        sock = self._socket_
        if sock is None:
            raise OSError(errno.EBADF, os.strerror(errno.EBADF))
        _reuse_address(sock, True)
        try:
            sock.listen(backlog)
        except BaseException:
            if not self._listening_:
                _reuse_address(sock, False)
            raise
        self._owner_()._open_spare_()
        self._listening_ = True
        self._settle_()

    def _close(self) -> None:
        self._discard_()

    def _pause(self) -> None:
        self._paused_ = True
        self._settle_()

    def _resume(self) -> None:
        self._paused_ = False
        self._settle_()

    def _discard_(self) -> None:
        self._listening_ = self._paused_ = False
        self._address_ = None
        self._shut_()

    def _listening_changed(self, type: str, present: bool) -> None:
        self._settle_()

    def _settle_(self) -> None:
        """Registers what follows from the state: nobody accepts before somebody listens to `connect`."""
        slot = self._slot_
        if slot is None or self._reactor_ is None:
            return
        slot.owner = self if self._listeners_ else None
        if self._listening_:
            # A listening socket never becomes writable as long as it listens: this waits for its end alone.
            self._reactor_._watch_(slot, READ if not self._paused_ and CONNECT in self._listeners_ else WRITE)

    def _ready_(self, events: int) -> None:
        reactor, sock = self._reactor_, self._socket_
        if reactor is None or sock is None or self._slot_ is None:
            return
        if events & WRITE:
            if not self._gone_(sock):
                reactor._watch_(self._slot_, 0)  # a system that sees this differently is not to spin
            return
        for _ in range(ACCEPTS_PER_TURN):
            entries = self._listeners_.get(CONNECT)
            if self._socket_ is not sock or self._paused_ or not entries:
                return
            try:
                accepted, peer = sock.accept()
            except OSError as error:
                if not self._accept_goes_on_(sock, error.errno or errno.EIO):
                    return
                continue
            self._accepted_(reactor, accepted, peer)

    def _accepted_(self, reactor: Reactor, accepted: socket.socket, peer: _Address) -> None:
        try:
            accepted.setblocking(False)
            stream = self._socket_class.__new__(self._socket_class)
            event = ServerSocketConnectEvent(CONNECT, False, False, stream)
        except BaseException:
            accepted.close()
            raise
        stream._accept_(reactor, accepted, peer)
        try:
            self._deliver_(event, self._listeners_[CONNECT])
        finally:
            # Whether the program keeps the socket shows when this function no longer does.
            if stream._listeners_ or stream._pending_:
                stream._settle_()
            else:
                stream._quiet_ = True
                reference = weakref.ref(stream)
                del stream, event
                kept = reference()
                if kept is not None:
                    kept._quiet_ = False
                    kept._settle_()

    def _accept_goes_on_(self, sock: socket.socket, code: int) -> bool:
        """Acts on a failed accept; whether the next one may be tried in this turn."""
        action = action_for(code)
        if action is Action.RETRY:
            return True
        if action is Action.DONE or (action is Action.GONE and self._gone_(sock)):
            return False
        if action is Action.SHED:
            self._shed_(sock)
        self._accept_failed(code)
        return False

    def _shed_(self, sock: socket.socket) -> None:
        """Tells waiting clients that no descriptor is left: accepts with the spare one and closes."""
        reactor = self._owner_()
        for _ in range(ACCEPTS_PER_TURN):
            reactor._close_spare_()
            try:
                sock.accept()[0].close()
            except OSError:
                return
            finally:
                reactor._open_spare_()

    def _gone_(self, sock: socket.socket) -> bool:
        """Whether the listening socket was shut down from outside; then it is closed and says so, once."""
        try:
            if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                return False
        except OSError:
            pass
        self._discard_()
        entries = self._listeners_.get(CLOSE)
        if entries:
            self._deliver_(Event(CLOSE), entries)
        return True


def _reuse_address(sock: socket.socket, on: bool) -> None:
    if not IS_WINDOWS:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, on)


def _bind_apart(sock: socket.socket, address: _Address) -> None:
    """Binds, to a port in TIME_WAIT too.

    SO_REUSEADDR lets a port be bound that is only in TIME_WAIT, but also lets two sockets bind the same port as long as
    neither listens. So it is on only for the second try, and again while listening, where it is inherited by the
    connections that a later restart must not stumble over. Windows has TIME_WAIT out of the way, and means something
    else by the option: there, a port is asked for exclusively.
    """
    if sys.platform == "win32":
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        sock.bind(address)
        return
    try:
        sock.bind(address)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        _reuse_address(sock, True)
        try:
            sock.bind(address)
        finally:
            _reuse_address(sock, False)


class Attempt(Protocol):
    """What is connecting a stream."""

    def cancel(self) -> None: ...


# The states of a stream. They are ordered: from CONNECTED on there may be input, and there are addresses.
CLOSED, CONNECTING, CONNECTED, FINISHED = range(4)


class Stream(Source):
    """A connection. The public class is `serversocket.Socket`.

    Input is what has arrived, from `_start_` on: the `bytes` of one read as they are, and where the program leaves
    something of them when more arrives, a bytearray.

    Output is a queue of `bytes` as the program gave them, bytearrays in which small writes are joined, and in front
    perhaps the memoryview of a piece that is partly sent.
    """

    _state_ = CLOSED
    _attempt_: Attempt | None = None
    _local_: _Address | None = None
    _remote_: _Address | None = None
    _no_delay_ = False

    _input_: bytes | bytearray = b""
    _start_ = 0

    _output_: deque[bytes | bytearray | memoryview] | None = None
    _pending_ = 0
    _written_ = 0
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
        return _host(self._remote_) if self._state_ >= CONNECTED else None

    @property
    def remote_port(self) -> int:
        """The peer's port, or 0 (AIR: ``remotePort``); it outlives the peer's leaving."""
        return _port(self._remote_) if self._state_ >= CONNECTED else 0

    @property
    def local_address(self) -> str | None:
        """The IP address of this end, or ``None`` (AIR: ``localAddress``); it outlives the peer's leaving."""
        return _host(self._local_address_())

    @property
    def local_port(self) -> int:
        """The port of this end, or 0 (AIR: ``localPort``); it outlives the peer's leaving."""
        return _port(self._local_address_())

    def _local_address_(self) -> _Address | None:
        if self._local_ is None and self._socket_ is not None:
            with suppress(OSError):
                self._local_ = self._socket_.getsockname()
        return self._local_

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
    def _opened(self) -> bool:
        return self._state_ in (CONNECTING, CONNECTED)

    def _require_(self, call: str) -> Reactor:
        """Refuses a call on a socket that is not connected."""
        reactor = self._reactor_
        if reactor is None or get_ident() != reactor._thread_:
            reactor = self._owner_()
        if self._state_ != CONNECTED:
            raise errors.not_open(call)
        return reactor

    def _require_input_(self, call: str) -> None:
        """Refuses a call on a socket that is not connected and was not until the peer left."""
        reactor = self._reactor_
        if reactor is None or get_ident() != reactor._thread_:
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
        self._local_ = None
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
        self._require_input_("read")
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

    def readinto(self, buffer: Any) -> int:
        """Reads what is there into a writable buffer.

        Args:
            buffer: A bytearray, a writable memoryview, an array: what has a contiguous buffer.

        Returns:
            How many bytes were read.

        Raises:
            IOError: The socket is not open (#2002).
            TypeError: `buffer` is no writable buffer.
        """
        self._require_input_("readinto")
        try:
            view = memoryview(buffer)
        except TypeError:
            raise errors.wrong_type("buffer", buffer, "a writable buffer") from None
        with view:
            if view.readonly or not view.c_contiguous:
                raise errors.wrong_type("buffer", buffer, "a writable buffer")
            count = self._amount_(view.nbytes)
            if count:
                with view.cast("B") as target:
                    target[:count] = self._take_(count)
        return count

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
        available = len(self._input_) - self._start_
        if size is None:
            return available
        wanted = size.__index__()
        return available if wanted < 0 or wanted > available else wanted

    def _front_(self, size: int) -> bytes:
        data, start = self._input_, self._start_
        if data.__class__ is bytes:
            return data[start : start + size]  # the object itself if that is all of it
        with memoryview(data) as view:
            return bytes(view[start : start + size])

    def _take_(self, size: int) -> bytes:
        taken = self._front_(size)
        self._start_ += size
        if self._start_ == len(self._input_):
            self._input_, self._start_ = b"", 0
        return taken

    def _keep_input_(self, chunk: bytes) -> None:
        """Appends to input that the program has left."""
        if isinstance(self._input_, bytearray):
            del self._input_[: self._start_]
            self._input_ += chunk
        else:
            self._input_ = bytearray(self._front_(len(self._input_) - self._start_)) + chunk
        self._start_ = 0

    # ---- output

    def write(self, data: Any) -> int:
        """Queues bytes to be sent. They go out with `flush` or at the end of the reactor's turn.

        Args:
            data: Any bytes-like object. ``bytes`` are kept by reference, anything mutable is copied.

        Returns:
            How many bytes were queued: all of them.

        Raises:
            IOError: The socket is not connected (#2002).
            TypeError: `data` is not bytes-like.
        """
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
        if not self._dirty_ and not self._blocked_:
            self._dirty_ = True
            reactor._dirty_.append(self)
            if reactor._alarm_ is not None:
                reactor._show_work_()
        return count

    def _as_bytes_(self, data: Any) -> bytes:
        try:
            view = memoryview(data)
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
        if not self._pending_ or self._blocked_:
            return
        if self._transmit_():
            self._settle_()
        elif self._slot_ is not None:
            self._hold_(self._slot_)
        if self._progressed_:
            self._attend_later_()

    def _transmit_(self) -> bool:
        """Sends what the system takes; whether it is full now."""
        sock, output = self._socket_, self._output_
        if sock is None or output is None:
            return False
        self._blocked_ = False
        before = self._pending_
        try:
            while output:
                if len(output) == 1:
                    offered = len(output[0])
                    sent = sock.send(output[0], MSG_NOSIGNAL)
                else:
                    sent, offered = _send_several(sock, output)
                self._pending_ -= sent
                if sent == offered and len(output) == 1:
                    output.clear()
                    break
                _take_off(output, sent)
                if sent < offered:  # more would only be refused
                    self._blocked_ = True
                    break
        except (BlockingIOError, InterruptedError):
            self._blocked_ = True
        except OSError as error:
            self._fail_(error.errno or errno.EIO)
        if self._pending_ < before and OUTPUT_PROGRESS in self._listeners_ and not self._failure_:
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
            self._attending_ = True
            self._reactor_._postpone_(self._attend_)

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
            self._deliver_(OutputProgressEvent(OUTPUT_PROGRESS, False, False, self._pending_, self._written_), entries)

    def _postpone(self, callback: Callable[[], object]) -> None:
        self._owner_()._postpone_(callback)

    # ---- readiness

    def _ready_(self, events: int) -> None:
        sock = self._socket_
        if sock is None:
            return
        if events & READ:
            self._receive_(sock, READS_PER_TURN)
        if events & WRITE and self._blocked_ and self._socket_ is sock:
            self._transmit_()
            self._settle_()
            if self._progressed_:
                self._tell_progress_()

    def _receive_(self, sock: socket.socket, reads: int) -> None:
        """Reads and delivers, until the system has no more or `reads` is reached."""
        reactor = self._reactor_
        if reactor is None:
            return
        view = reactor._buffer_
        for _ in range(reads):
            try:
                size = sock.recv_into(view)
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                self._finish_(self._failure_ or error.errno or errno.EIO, "send" if self._failure_ else "recv")
                return
            if not size:
                self._finish_(self._failure_, "send")
                return
            chunk = view[:size].tobytes()
            if self._start_ < len(self._input_):
                self._keep_input_(chunk)
            else:
                self._input_ = chunk
            entries = self._listeners_.get(SOCKET_DATA)
            if entries:
                self._deliver_(ProgressEvent(SOCKET_DATA, False, False, size), entries)
                if self._socket_ is not sock:
                    return
            if size < READ_SIZE and not self._failure_:
                return

    def _finish_(self, failure: int, call: str) -> None:
        """The peer has closed, or the connection broke."""
        if not failure and self._pending_:
            self._transmit_()
            failure, call = self._failure_, "send"
        self._local_address_()
        self._state_ = FINISHED
        if self._pending_ and not failure:
            self._linger_()
        self._drop_output_()
        self._failure_ = 0
        self._shut_()
        if failure:
            self._broken(failure, call)
            if self._state_ != FINISHED:
                return
        entries = self._listeners_.get(CLOSE)
        if entries:
            self._deliver_(Event(CLOSE), entries)

    # ---- the end

    def close(self) -> None:
        """Sends what is pending and closes (AIR: ``close``). Unread input is dropped; there is no event.

        Raises:
            IOError: The socket is not open (#2002).
        """
        if self._reactor_ is not None and self._reactor_._dead_:
            self._discard_()
            return
        self._check_()
        if self._state_ == CONNECTING:
            self._connecting_failed()
            return
        self._require_("close")
        if self._pending_ and not self._blocked_:
            self._transmit_()
        if self._pending_:
            self._linger_()
        self._discard_()

    def abort(self) -> None:
        """Drops what is pending and resets the connection; the peer sees an error. There is no event.

        Raises:
            IOError: The socket is not connected (#2002).
        """
        self._require_("abort")
        if self._socket_ is not None:
            with suppress(OSError):  # it is reset already
                self._socket_.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._discard_()

    def _linger_(self) -> None:
        """Hands the descriptor and what is still to be sent to a Lingerer."""
        reactor, sock, output = self._reactor_, self._let_go_(), self._output_
        if reactor is not None and sock is not None and output is not None:
            Lingerer(reactor, sock, output, self._pending_)

    # ---- beginning

    def _accept_(self, reactor: Reactor, accepted: socket.socket, peer: _Address) -> None:
        self._reactor_ = reactor
        self._own_(reactor, accepted)
        self._remote_ = peer
        self._state_ = CONNECTED

    def _begin_connecting(self, attempt: Attempt) -> None:
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
            self.tcp_no_delay = True
        entries = self._listeners_.get(CONNECT)
        try:
            if entries:
                self._deliver_(Event(CONNECT), entries)
        finally:
            if self._socket_ is sock:
                self._settle_()


def _send_several(sock: socket.socket, output: deque[bytes | bytearray | memoryview]) -> tuple[int, int]:
    pieces = list(islice(output, CHUNKS_PER_SEND))
    offered = sum(map(len, pieces))
    if sys.platform == "win32":
        return sock.send(b"".join(pieces)), offered
    return sock.sendmsg(pieces, (), MSG_NOSIGNAL), offered


def _take_off(output: deque[bytes | bytearray | memoryview], sent: int) -> None:
    while output and sent >= len(output[0]):
        sent -= len(output.popleft())
    if sent:
        output[0] = memoryview(output[0])[sent:]


class Lingerer(Source):
    """What is left of a stream that was closed with output pending: it sends and then closes."""

    def __init__(
        self,
        reactor: Reactor,
        sock: socket.socket,
        output: deque[bytes | bytearray | memoryview],
        pending: int,
    ) -> None:
        self._attach(reactor)
        self._output_ = output
        slot = self._own_(reactor, sock)
        slot.owner = self
        try:
            reactor._watch_(slot, WRITE)
        except OSError:
            self._shut_()

    def _ready_(self, events: int) -> None:
        sock, output = self._socket_, self._output_
        if sock is None:
            return
        try:
            while output:
                sent, offered = _send_several(sock, output)
                _take_off(output, sent)
                if sent < offered:
                    return
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            pass  # the peer is gone; nobody is left to be told
        self._shut_()


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
        self, reactor: Reactor, family: int, address: _Address, callback: Callable[[Connector], object]
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

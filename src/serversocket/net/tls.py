"""TLS as a `Filter`: Python's own `ssl`, on memory. Imported when TLS is first used."""

from __future__ import annotations

import errno
import ssl
from collections import deque
from contextlib import suppress
from typing import Any
from weakref import WeakKeyDictionary, ref

from .. import errors
from ..engine import Filter
from .addresses import format_endpoint
from .hello import RECORD_HEADER, Malformed, first_record, parse

__all__ = ["HandshakeFailed", "Starting", "TLSFilter", "alert"]

STEPS_PER_TURN = 2  # handshake steps of one reactor: each costs as much as hundreds of messages
PIECE = 16384  # bytes of a record
FLIGHT_LIMIT = 131072  # bytes of a handshake that wait for their turn

DECODE_ERROR, INTERNAL_ERROR, UNRECOGNIZED_NAME = 50, 80, 112


class HandshakeFailed(Exception):
    """A handshake cannot go on.

    Args:
        reason: Why.
        code: The system's number of the error, if it has one.
        alert: What the peer is told; none by default.
    """

    def __init__(self, reason: str, code: int | None = None, alert: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.code = code
        self.alert = alert


class TLSFilter(Filter):
    """One connection's TLS.

    Args:
        stream: The connection. It is not kept alive.
        timeout: Seconds that the handshake may take; 0 for any time.
    """

    ssl_object: Any = None
    server_name: str | None = None
    require_close_notify = True

    def __init__(self, stream: Any, timeout: float) -> None:
        self.holding = True
        self._stream = ref(stream)
        self._peer = format_endpoint(stream.remote_address or "", stream.remote_port)
        self._early = b""  # what has come before there was an SSL object
        self._records = _Records()
        self._shaking = True
        self._has_turn = self._waits_for_turn = False
        self._notified = False  # the peer has said that nothing more comes
        self._ended_output = False
        self._doom: HandshakeFailed | errors.IOError | None = None
        self._timer: Any = None
        if timeout:
            self._timer = stream.reactor.call_later(timeout, _expire, ref(self), timeout)
            self._timer.unref()

    # ---- what the connection calls

    def received(self, data: bytes) -> bytes:
        """Bytes have come, or it is this filter's turn."""
        if self._doom is not None:
            raise self._broken(self._doom)
        if data and not self._notified:
            self._take(data)
        if self._shaking:
            try:
                if self._has_turn or self._overdue():
                    self._has_turn = False
                    self._step()
                elif data and self._ready():
                    self._wait_for_turn()
            except HandshakeFailed as failure:
                raise self._broken(failure) from None
        return b"" if self._shaking else self._decrypt()

    def written(self, data: bytes) -> bytes:
        """Output goes."""
        with memoryview(data) as left:
            done = 0
            while done < len(left):
                done += self._asked(self.ssl_object.write, left[done:])
        made: bytes = self._outgoing.read()
        return made

    def closing(self) -> bytes:
        """The program has ended its output."""
        self._ended_output = True
        with suppress(ssl.SSLError, ValueError):  # it waits for the peer's
            self.ssl_object.unwrap()
        made: bytes = self._outgoing.read()
        return made

    def ended(self) -> bytes:
        """The peer's stream has ended: that is the end only if it has said so."""
        if self._doom is not None:
            raise self._broken(self._doom)
        made = b""
        if self._shaking:
            self._shake_at_the_end()
            made = self._decrypt()
        if not self._notified:
            if self._records.inside():
                raise self._truncated("the stream ends inside a record")
            if self.require_close_notify:
                raise self._truncated("the stream is truncated: it ends without close_notify")
        return made

    # ---- the handshake

    def _shake_at_the_end(self) -> None:
        """The peer's last bytes may be all that was missing, and have not had their turn."""
        try:
            if self._ready():
                self._step()
            if self.holding:
                raise HandshakeFailed("the peer has ended the stream in the handshake")
        except HandshakeFailed as failure:
            raise self._broken(failure) from None

    def doom(self, failure: HandshakeFailed) -> None:
        """Ends the handshake from outside."""
        stream = self._stream()
        if self._shaking and self._doom is None and stream is not None:
            self._doom = failure
            stream._ask_filter()

    def turn(self) -> None:
        """It may make its next step now."""
        self._waits_for_turn = False
        stream = self._stream()
        if stream is not None and self._shaking:
            self._has_turn = True
            stream._ask_filter()

    def _take(self, data: bytes) -> None:
        self._records.add(data)
        if self.ssl_object is None:
            self._early += data
        else:
            self._incoming.write(data)

    def _ready(self) -> bool:
        """Returns True if there is enough for a step."""
        return self.ssl_object is not None

    def _overdue(self) -> bool:
        """Returns True if more waits for a turn than may."""
        return self.ssl_object is not None and self._incoming.pending > FLIGHT_LIMIT

    def _wait_for_turn(self) -> None:
        stream = self._stream()
        if stream is not None and not self._waits_for_turn:
            self._waits_for_turn = True
            _turns_of(stream.reactor).add(self)

    def _begin(self, context: ssl.SSLContext, server_side: bool, server_hostname: str | None = None) -> None:
        """Makes the SSL object, and gives it what has come."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.ssl_object = context.wrap_bio(
            self._incoming, self._outgoing, server_side=server_side, server_hostname=server_hostname
        )
        early, self._early = self._early, b""
        if early:
            self._incoming.write(early)

    def _step(self) -> None:
        try:
            self.ssl_object.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except (ssl.SSLError, ssl.CertificateError) as error:
            raise HandshakeFailed(_reason(error)) from None
        self._flush()
        self._done()

    def _done(self) -> None:
        self._shaking = self.holding = False
        self.settle()
        stream = self._stream()
        if stream is not None:
            stream._tls = self

    def settle(self) -> None:
        """The handshake is over, whichever way."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    # ---- records

    def _decrypt(self) -> bytes:
        made: list[bytes] = []
        read = self.ssl_object.read
        try:
            while chunk := read(PIECE):
                made.append(chunk)
            self._notified = self.input_ended = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self._notified = self.input_ended = True
        except ssl.SSLError as error:
            failure = self._broken(HandshakeFailed(_reason(error)))
            stream = self._stream()
            if not made or stream is None:
                raise failure from None
            self._doom = failure  # what came before it is input
            stream._ask_filter()
            return b"".join(made)
        self._flush()
        return b"".join(made)

    def _asked(self, call: Any, *arguments: Any) -> Any:
        try:
            return call(*arguments)
        except ssl.SSLError as error:
            raise self._broken(HandshakeFailed(_reason(error))) from None

    def _flush(self) -> None:
        """Sends what TLS itself has to say."""
        if self._outgoing.pending:
            said = self._outgoing.read()
            if not self._ended_output:
                self.send(said)

    def _broken(self, failure: HandshakeFailed | errors.IOError) -> errors.IOError:
        """What is raised for a failure; the alert follows."""
        if isinstance(failure, errors.IOError):
            return failure
        if failure.alert is not None:
            self.last_words = alert(failure.alert)
        elif self.ssl_object is not None:
            self.last_words = self._outgoing.read()
        cause = OSError(failure.reason) if failure.code is None else OSError(failure.code, failure.reason)
        return errors.broken(f"{'TLS handshake' if self._shaking else 'TLS'} with {self._peer}", cause)

    def _truncated(self, reason: str) -> errors.IOError:
        return errors.broken(f"TLS with {self._peer}", OSError(reason))


class Starting(TLSFilter):
    """TLS that begins on a connection in use.

    Args:
        stream: The connection.
        context: Its context.
        server_side: This end is the server's.
        server_hostname: Whom a client wants to speak with.
        timeout: Seconds that the handshake may take; 0 for any time.

    Raises:
        ArgumentError: The context is that of the other side, or needs another name (#2004).
        TypeError: The context is none.
    """

    def __init__(
        self, stream: Any, context: ssl.SSLContext, server_side: bool, server_hostname: str | None, timeout: float
    ) -> None:
        if not isinstance(context, ssl.SSLContext):
            raise errors.wrong_type("context", context, "an ssl.SSLContext")
        if context.check_hostname and not (server_side or server_hostname):
            raise errors.bad_argument("start_tls", "the context checks names: give server_hostname")
        if server_side and server_hostname is not None:
            raise errors.bad_argument("start_tls", "server_hostname is for clients")
        super().__init__(stream, timeout)
        self._context: ssl.SSLContext = context
        self.server_name = server_hostname
        try:
            self._begin(context, server_side, server_hostname)
        except (ssl.SSLError, ValueError) as error:
            self.settle()
            raise errors.bad_argument("start_tls", _reason(error)) from None
        if server_side:
            self.ssl_object = None  # another one, when there is something for it

    def started(self) -> bytes:
        """The connection has its filter: a client speaks first."""
        if self.ssl_object is not None:
            try:
                self._step()
            except HandshakeFailed as failure:
                raise self._broken(failure) from None
        return b""

    def read_on(self, unread: bytes) -> None:
        """Takes what had come before: it belongs to TLS."""
        if unread:
            self._take(unread)
            if self._ready():
                self._wait_for_turn()

    def _ready(self) -> bool:
        return self.ssl_object is not None or first_record(self._early)

    def _step(self) -> None:
        if self.ssl_object is None:
            self.server_name = name_in(self._early)
            self._begin(self._context, server_side=True)
        super()._step()


class _Records:
    """Where records begin and end, which OpenSSL does not tell: an end inside of one is none."""

    __slots__ = ("_header", "_left")

    def __init__(self) -> None:
        self._header = b""
        self._left = 0

    def add(self, data: bytes) -> None:
        size, position, left = len(data), 0, self._left
        while position < size:
            if left:
                step = min(left, size - position)
                left -= step
                position += step
                continue
            wanted = RECORD_HEADER - len(self._header)
            self._header += data[position : position + wanted]
            position += wanted
            if len(self._header) == RECORD_HEADER:
                left = int.from_bytes(self._header[3:], "big")
                self._header = b""
        self._left = left

    def inside(self) -> bool:
        """Returns True if the last record is not whole."""
        return bool(self._left or self._header)


class _Turns:
    """Gives handshakes their turns, so that a flood of them does not stop the connections that are there."""

    def __init__(self, reactor: Any) -> None:
        self._reactor = ref(reactor)
        self._waiting: deque[TLSFilter] = deque()
        self._due = False

    def add(self, filter: TLSFilter) -> None:
        self._waiting.append(filter)
        self._go_on()

    def _go_on(self) -> None:
        reactor = self._reactor()
        if self._waiting and not self._due and reactor is not None and not reactor.closed:
            reactor.call_later(0, self._run).unref()
            self._due = True

    def _run(self) -> None:
        self._due = False
        for _ in range(min(STEPS_PER_TURN, len(self._waiting))):
            self._waiting.popleft().turn()
        self._go_on()


_turns: WeakKeyDictionary[Any, _Turns] = WeakKeyDictionary()


def _turns_of(reactor: Any) -> _Turns:
    turns = _turns.get(reactor)
    if turns is None:
        turns = _turns[reactor] = _Turns(reactor)
    return turns


def _expire(filter: ref[TLSFilter], seconds: float) -> None:
    late = filter()
    if late is not None:
        late.doom(HandshakeFailed(f"no handshake within {seconds:g} s", errno.ETIMEDOUT))


def alert(description: int) -> bytes:
    """The record of a fatal alert that is not encrypted."""
    return bytes([21, 3, 3, 0, 2, 2, description])


def _reason(error: Exception) -> str:
    """OpenSSL's reason, in its own words."""
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_message:
        return f"certificate verify failed: {error.verify_message}"
    reason = getattr(error, "reason", None)
    return reason.lower().replace("_", " ") if reason else str(error)


def name_in(hello: bytes) -> str | None:
    """The server's name in a client's hello; None if it gives none."""
    try:
        offer = parse(hello)
    except Malformed:
        return None  # OpenSSL says what is wrong
    return None if offer is None else offer.server_name

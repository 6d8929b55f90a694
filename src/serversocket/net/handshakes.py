"""The handshakes of a server: a client is let in when TLS is there, or else refused."""

from __future__ import annotations

import errno
import inspect
import ssl
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any
from weakref import ref

from .. import errors
from ..events import TLSErrorEvent
from ..loop.reactor import report_error
from ..loop.running import running_loop, running_trio
from .hello import ClientHello, Malformed, Offer, first_record, parse
from .tls import DECODE_ERROR, FLIGHT_LIMIT, INTERNAL_ERROR, UNRECOGNIZED_NAME, HandshakeFailed, TLSFilter, name_in

__all__ = ["Admission"]

MOST_PENDING = 4096  # handshakes of one server; beyond that the one that has waited longest leaves


class Admission:
    """Gives each client of a server its TLS.

    Args:
        server: The `ServerSocket`. It is not kept alive.
        tls: A context, or what is asked for one.
        timeout: Seconds from the accept on; 0 for any time.

    Raises:
        ArgumentError: It is a client's context (#2004).
        TypeError: It is neither a context nor callable.
    """

    def __init__(self, server: Any, tls: Any, timeout: float) -> None:
        if not isinstance(tls, ssl.SSLContext) and not callable(tls):
            raise errors.wrong_type("tls", tls, "an ssl.SSLContext, a callable or None")
        if isinstance(tls, ssl.SSLContext) and tls.protocol == ssl.PROTOCOL_TLS_CLIENT:
            raise errors.bad_argument("tls", "the context is a client's: make a server's with tls_context()")
        self.tls = tls
        self.timeout = timeout
        self.pending: dict[ServerFilter, None] = {}  # the one that has waited longest first
        self._server = ref(server)

    def __call__(self, stream: Any) -> TLSFilter:
        """The filter of a client that was accepted."""
        if len(self.pending) >= MOST_PENDING:
            eldest = next(iter(self.pending))
            del self.pending[eldest]
            eldest.doom(HandshakeFailed("too many handshakes are under way", errno.ENOBUFS))
        filter = ServerFilter(self, stream)
        self.pending[filter] = None
        return filter

    def report(self, error: BaseException) -> None:
        """Tells of what the program's callable has raised."""
        report_error(error, self._server())

    def refused(self, filter: ServerFilter, error: OSError) -> None:
        """Tells of a handshake that has failed."""
        server = self._server()
        if server is not None and server.has_event_listener(TLSErrorEvent.TLS_ERROR):
            server.dispatch_event(filter.event(error))


class ServerFilter(TLSFilter):
    """TLS of a client that a server has accepted."""

    def __init__(self, admission: Admission, stream: Any) -> None:
        super().__init__(stream, admission.timeout)
        self.phase = "hello"
        self.uncounted = True  # until its first byte has come
        self._admission = admission
        self._tls = admission.tls
        self._address, self._port = stream.remote_address or "", stream.remote_port
        self._cancel: Callable[[], object] | None = None  # ends the wait for the callable's answer
        self._answer: Any = _NONE_YET

    def doom(self, failure: HandshakeFailed) -> None:
        """Ends the handshake from outside."""
        self.uncounted = False
        super().doom(failure)

    def dropped(self, error: OSError | None) -> None:
        """There will be no `connect`."""
        self.settle()
        if error is not None and not self.uncounted:
            self._admission.refused(self, error)

    def settle(self) -> None:
        """The handshake is over, whichever way."""
        super().settle()
        self._admission.pending.pop(self, None)
        cancel, self._cancel = self._cancel, None
        if cancel is not None:
            cancel()

    def event(self, error: OSError) -> TLSErrorEvent:
        """What tells the server of an error."""
        if not isinstance(error, errors.IOError):
            error = errors.broken(f"TLS handshake with {self._peer}", error)
        return TLSErrorEvent(
            text=str(error),
            id=error.error_id,
            errno=error.errno,
            strerror=error.strerror,
            remote_address=self._address,
            remote_port=self._port,
            reason=error.strerror or "",
            phase=self.phase,
        )

    def _take(self, data: bytes) -> None:
        self.uncounted = False
        super()._take(data)
        if len(self._early) > FLIGHT_LIMIT:
            raise self._broken(HandshakeFailed("the client's hello is too long", alert=DECODE_ERROR))

    def _ready(self) -> bool:
        return self.phase == "handshake" or (self.phase == "hello" and first_record(self._early))

    def _step(self) -> None:
        if self.phase == "hello":
            self._read_hello()
        if self.phase == "choose" and self._answer is not _NONE_YET:
            self._act_on(self._answer)
        if self.phase == "handshake":
            super()._step()

    def _read_hello(self) -> None:
        if isinstance(self._tls, ssl.SSLContext):
            self._use(self._tls, name_in(self._early))
            return
        try:
            offer = parse(self._early)
        except Malformed as error:
            raise HandshakeFailed(str(error), alert=DECODE_ERROR) from None
        if offer is not None:
            self.phase = "choose"
            self._ask(offer)

    def _use(self, context: ssl.SSLContext, server_name: str | None) -> None:
        self.phase = "handshake"
        self.server_name = server_name
        self._begin(context, server_side=True)

    # ---- the program's choice

    def _ask(self, offer: Offer) -> None:
        self.server_name = offer.server_name
        hello = ClientHello(offer.server_name, offer.alpn_protocols, self._address, self._port, offer.versions)
        try:
            answer = self._tls(hello)
            if not inspect.isawaitable(answer):
                self._answer = answer
                return
        except BaseException as error:
            raise self._wrong(error) from None
        cancel = _await(answer, ref(self))
        if cancel is None:
            raise self._wrong(RuntimeError("an awaitable of tls needs a loop that hosts the reactor: asyncio or trio"))
        self._cancel = cancel

    def answered(self, answer: Any) -> None:
        """What was awaited is there."""
        self._cancel = None
        self._answer = answer
        stream = self._stream()
        if stream is not None and self._shaking:
            self._has_turn = True
            stream.reactor.call_soon_threadsafe(stream._ask_filter)

    def _act_on(self, answer: Any) -> None:
        if isinstance(answer, _Raised):
            raise self._wrong(answer.error)
        if answer is None:
            raise HandshakeFailed(f"there is no server {self.server_name}", alert=UNRECOGNIZED_NAME)
        try:
            if not isinstance(answer, ssl.SSLContext):
                raise errors.wrong_type("what tls returns", answer, "an ssl.SSLContext or None")
            self._use(answer, self.server_name)
        except Exception as error:
            self.phase = "choose"
            raise self._wrong(error) from None

    def _wrong(self, error: BaseException) -> HandshakeFailed:
        """The program has not chosen: it is told, and the client that it is not its fault."""
        if not isinstance(error, Exception):
            raise error
        self._admission.report(error)
        return HandshakeFailed(f"{type(error).__name__}: {error}", alert=INTERNAL_ERROR)


_NONE_YET = object()


class _Raised:
    """What an awaitable has raised."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def _await(awaitable: Awaitable[Any], filter: ref[ServerFilter]) -> Callable[[], object] | None:
    """Has the running loop await; returns what cancels that, or None where no loop runs."""

    async def wait() -> None:
        try:
            answer: Any = await awaitable
        except Exception as error:
            answer = _Raised(error)
        waiting = filter()
        if waiting is not None:
            waiting.answered(answer)

    if running_trio() is not None:
        trio = sys.modules["trio"]
        scope = trio.CancelScope()

        async def scoped() -> None:
            with scope:
                await wait()

        trio.lowlevel.spawn_system_task(scoped)
        return partial(_cancel_scope, scope)
    loop = running_loop()
    if loop is not None:
        return loop.create_task(wait()).cancel  # type: ignore[no-any-return]
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()
    return None


def _cancel_scope(scope: Any) -> None:
    scope.cancel()

"""The event classes off the hot path, the constants of all event classes, and AIR's names for the engine's classes."""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar

from . import errors
from .engine import (
    Acceptor,
    Event,
    EventDispatcher,
    OutputProgressEvent,
    ProgressEvent,
    Reactor,
    ServerSocketConnectEvent,
    Stream,
    extend_type,
)
from .naming import as3_name, with_as3_names

__all__ = [
    "ErrorEvent",
    "Event",
    "EventDispatcher",
    "EventPhase",
    "IOErrorEvent",
    "OutputProgressEvent",
    "ProgressEvent",
    "SecurityErrorEvent",
    "ServerSocketConnectEvent",
    "TLSErrorEvent",
    "TextEvent",
    "UncaughtErrorEvent",
]


class EventPhase(IntEnum):
    """The phase of an event's flow (AIR: ``flash.events.EventPhase``); events of sockets are always at their target."""

    CAPTURING_PHASE = 1
    AT_TARGET = 2
    BUBBLING_PHASE = 3


class TextEvent(Event):
    """An event that carries a text (AIR: ``flash.events.TextEvent``).

    Args:
        type: The type of the event, such as ``TextEvent.LINK``.
        bubbles: See `Event`.
        cancelable: See `Event`.
        text: The text.

    Raises:
        TypeError: `type` is not a string.

    Example:
        >>> print(TextEvent("link", text="more"))
        [TextEvent type="link" bubbles=false cancelable=false eventPhase=2 text="more"]
    """

    LINK: ClassVar[str]
    TEXT_INPUT: ClassVar[str]

    text: str
    """The text (AIR: ``text``)."""

    def __init__(self, type: str, bubbles: bool = False, cancelable: bool = False, text: str = "") -> None:
        super().__init__(type, bubbles, cancelable)
        self.text = text

    def clone(self) -> TextEvent:
        """Returns a new `TextEvent` with the same fields (AIR: ``clone``)."""
        return TextEvent(self.type, self.bubbles, self.cancelable, self.text)

    def to_string(self) -> str:
        """Returns the event as AIR prints it (AIR: ``toString``)."""
        return self.format_to_string("TextEvent", "type", "bubbles", "cancelable", "eventPhase", "text")


class ErrorEvent(TextEvent):
    """An operation failed (AIR: ``flash.events.ErrorEvent``).

    Args:
        type: The type of the event, such as ``ErrorEvent.ERROR``.
        bubbles: See `Event`.
        cancelable: See `Event`.
        text: What failed and why; it begins with AIR's own text.
        id: AIR's number of the error.

    Raises:
        TypeError: `type` is not a string.

    Example:
        >>> print(ErrorEvent("error", text="Socket Error.", id=2031))
        [ErrorEvent type="error" bubbles=false cancelable=false eventPhase=2 text="Socket Error." errorID=2031]
    """

    ERROR: ClassVar[str]

    def __init__(self, type: str, bubbles: bool = False, cancelable: bool = False, text: str = "", id: int = 0) -> None:
        super().__init__(type, bubbles, cancelable, text)
        self._error_id = id

    @property
    def error_id(self) -> int:
        """AIR's number of the error (AIR: ``errorID``)."""
        return self._error_id

    def clone(self) -> ErrorEvent:
        """Returns a new `ErrorEvent` with the same fields (AIR: ``clone``)."""
        return ErrorEvent(self.type, self.bubbles, self.cancelable, self.text, self.error_id)

    def to_string(self) -> str:
        """Returns the event as AIR prints it (AIR: ``toString``)."""
        return self._error_to_string("ErrorEvent")

    def _error_to_string(self, class_name: str) -> str:
        return self.format_to_string(class_name, "type", "bubbles", "cancelable", "eventPhase", "text", "errorID")


class IOErrorEvent(ErrorEvent):
    """Input or output failed (AIR: ``flash.events.IOErrorEvent``).

    Args:
        type: ``IOErrorEvent.IO_ERROR``.
        bubbles: See `Event`.
        cancelable: See `Event`.
        text: What failed and why; it begins with AIR's own text.
        id: AIR's number of the error; 2031 from a socket.
        errno: The system's error number, ``None`` if it gave none.
        strerror: The system's reason, ``None`` if it gave none.

    Raises:
        TypeError: `type` is not a string.

    Example:
        >>> import errno
        >>> event = IOErrorEvent(IOErrorEvent.IO_ERROR, id=2031, errno=errno.ECONNRESET)
        >>> event.error_id, event.errno == errno.ECONNRESET, isinstance(event.error, ConnectionResetError)
        (2031, True, True)
    """

    IO_ERROR: ClassVar[str]
    NETWORK_ERROR: ClassVar[str]
    DISK_ERROR: ClassVar[str]
    VERIFY_ERROR: ClassVar[str]
    STANDARD_ERROR_IO_ERROR: ClassVar[str]
    STANDARD_INPUT_IO_ERROR: ClassVar[str]
    STANDARD_OUTPUT_IO_ERROR: ClassVar[str]

    errno: int | None
    """The system's error number, ``None`` if it gave none.

    If a host name cannot be resolved, it is a number such as ``socket.EAI_NONAME``, and `error` is a
    `socket.gaierror`. Some systems use the same numbers for both kinds of error, so check the class of `error` first.
    """

    strerror: str | None
    """The system's reason, ``None`` if it gave none."""

    _kind: type[errors.IOError] = errors.IOError  # the class of `error`

    def __init__(
        self,
        type: str,
        bubbles: bool = False,
        cancelable: bool = False,
        text: str = "",
        id: int = 0,
        *,
        errno: int | None = None,
        strerror: str | None = None,
    ) -> None:
        super().__init__(type, bubbles, cancelable, text, id)
        self.errno = errno
        self.strerror = strerror

    @classmethod
    def _of(cls, error: errors.IOError) -> IOErrorEvent:
        """Makes the event that reports an error."""
        event = cls(cls.IO_ERROR, text=error.message, id=error.error_id, errno=error.errno, strerror=error.strerror)
        event._kind = type(error)
        return event

    @property
    def error(self) -> errors.IOError:
        """The exception that a coroutine gets in place of the event; a new object each time.

        If Python has a class for `errno`, it is of that class too, such as `ConnectionRefusedError`.
        """
        return self._kind(self.text, self.error_id, errno=self.errno, strerror=self.strerror)

    def clone(self) -> IOErrorEvent:
        """Returns a new `IOErrorEvent` with the same fields (AIR: ``clone``)."""
        twin = IOErrorEvent(
            self.type,
            self.bubbles,
            self.cancelable,
            self.text,
            self.error_id,
            errno=self.errno,
            strerror=self.strerror,
        )
        twin._kind = self._kind
        return twin

    def to_string(self) -> str:
        """Returns the event as AIR prints it (AIR: ``toString``)."""
        return self._error_to_string("IOErrorEvent")


class TLSErrorEvent(IOErrorEvent):
    """A client of a server has not come through the handshake of TLS. There is no ``connect`` for it.

    Args:
        type: ``TLSErrorEvent.TLS_ERROR``.
        bubbles: See `Event`.
        cancelable: See `Event`.
        text: What failed and why; it begins with AIR's own text.
        id: AIR's number of the error; 2031 from a server.
        errno: The system's number of the error, ``errno.ETIMEDOUT`` where time ran out, ``None`` where it gave none.
        strerror: The reason.
        remote_address: The client's IP address.
        remote_port: The client's port.
        reason: The reason, in OpenSSL's words where it is one of OpenSSL's.
        phase: How far it came: ``"hello"`` until the client's hello was read, ``"choose"`` while a callable in
            `ServerSocket.tls` was asked for the context, then ``"handshake"``.

    Raises:
        TypeError: `type` is not a string.

    Example:
        >>> event = TLSErrorEvent(remote_address="192.0.2.1", reason="unknown ca", phase="handshake")
        >>> event.type, event.remote_address, event.reason, event.phase
        ('tlsError', '192.0.2.1', 'unknown ca', 'handshake')
    """

    TLS_ERROR: ClassVar[str]

    remote_address: str
    """The client's IP address."""

    remote_port: int
    """The client's port."""

    reason: str
    """The reason, in OpenSSL's words where it is one of OpenSSL's."""

    phase: str
    """How far it came: ``"hello"``, ``"choose"`` or ``"handshake"``."""

    def __init__(
        self,
        type: str = "tlsError",
        bubbles: bool = False,
        cancelable: bool = False,
        text: str = "",
        id: int = 0,
        *,
        errno: int | None = None,
        strerror: str | None = None,
        remote_address: str = "",
        remote_port: int = 0,
        reason: str = "",
        phase: str = "",
    ) -> None:
        super().__init__(type, bubbles, cancelable, text, id, errno=errno, strerror=strerror)
        self.remote_address = remote_address
        self.remote_port = remote_port
        self.reason = reason
        self.phase = phase

    def clone(self) -> TLSErrorEvent:
        """A new `TLSErrorEvent` with the same fields (AIR: ``clone``)."""
        return TLSErrorEvent(
            self.type,
            self.bubbles,
            self.cancelable,
            self.text,
            self.error_id,
            errno=self.errno,
            strerror=self.strerror,
            remote_address=self.remote_address,
            remote_port=self.remote_port,
            reason=self.reason,
            phase=self.phase,
        )

    def to_string(self) -> str:
        """The event as AIR prints it (AIR: ``toString``)."""
        return self._error_to_string("TLSErrorEvent")


class SecurityErrorEvent(ErrorEvent):
    """An operation is not allowed (AIR: ``flash.events.SecurityErrorEvent``).

    Args:
        type: ``SecurityErrorEvent.SECURITY_ERROR``.
        bubbles: See `Event`.
        cancelable: See `Event`.
        text: What is not allowed and why; it begins with AIR's own text.
        id: AIR's number of the error.

    Raises:
        TypeError: `type` is not a string.

    Example:
        >>> SecurityErrorEvent(SecurityErrorEvent.SECURITY_ERROR, id=2048).error_id
        2048
    """

    SECURITY_ERROR: ClassVar[str]
    CERTIFICATE_ERROR: ClassVar[str]

    def clone(self) -> SecurityErrorEvent:
        """Returns a new `SecurityErrorEvent` with the same fields (AIR: ``clone``)."""
        return SecurityErrorEvent(self.type, self.bubbles, self.cancelable, self.text, self.error_id)

    def to_string(self) -> str:
        """Returns the event as AIR prints it (AIR: ``toString``)."""
        return self._error_to_string("SecurityErrorEvent")


class UncaughtErrorEvent(ErrorEvent):
    """A listener raised an exception (AIR: ``flash.events.UncaughtErrorEvent``).

    Args:
        type: ``UncaughtErrorEvent.UNCAUGHT_ERROR``.
        bubbles: See `Event`.
        cancelable: See `Event`.
        error_in: The exception.

    Raises:
        TypeError: `type` is not a string.

    Example:
        >>> UncaughtErrorEvent(error_in=ValueError("no")).error
        ValueError('no')
    """

    UNCAUGHT_ERROR: ClassVar[str]

    def __init__(
        self,
        type: str = "uncaughtError",
        bubbles: bool = True,
        cancelable: bool = True,
        error_in: BaseException | None = None,
    ) -> None:
        super().__init__(type, bubbles, cancelable)
        self._error = error_in

    @property
    def error(self) -> BaseException | None:
        """The exception (AIR: ``error``)."""
        return self._error

    def clone(self) -> UncaughtErrorEvent:
        """Returns a new `UncaughtErrorEvent` with the same exception (AIR: ``clone``)."""
        return UncaughtErrorEvent(self.type, self.bubbles, self.cancelable, self.error)

    def to_string(self) -> str:
        """Returns the event as AIR prints it (AIR: ``toString``)."""
        return self.format_to_string("UncaughtErrorEvent", "type", "bubbles", "cancelable", "eventPhase")


# The value of every constant follows from its name: SOCKET_DATA is "socketData".
_CONSTANTS: dict[type[Event], str] = {
    Event: (
        "ACTIVATE ADDED CANCEL CHANGE CLEAR CLOSE CLOSING COMPLETE CONNECT DEACTIVATE END ENTER_FRAME EXITING"
        " EXIT_FRAME INIT NETWORK_CHANGE OPEN RENDER RESIZE SCROLL SELECT SOUND_COMPLETE STANDARD_ERROR_CLOSE"
        " STANDARD_INPUT_CLOSE STANDARD_OUTPUT_CLOSE SUSPEND TEXTURE_READY UNLOAD USER_IDLE USER_PRESENT"
        " WORKER_STATE"
    ),
    ProgressEvent: "PROGRESS SOCKET_DATA STANDARD_ERROR_DATA STANDARD_INPUT_PROGRESS STANDARD_OUTPUT_DATA",
    OutputProgressEvent: "OUTPUT_PROGRESS",
    ServerSocketConnectEvent: "CONNECT",
    TextEvent: "LINK TEXT_INPUT",
    ErrorEvent: "ERROR",
    IOErrorEvent: (
        "IO_ERROR NETWORK_ERROR DISK_ERROR VERIFY_ERROR STANDARD_ERROR_IO_ERROR STANDARD_INPUT_IO_ERROR"
        " STANDARD_OUTPUT_IO_ERROR"
    ),
    TLSErrorEvent: "TLS_ERROR",
    SecurityErrorEvent: "SECURITY_ERROR CERTIFICATE_ERROR",
    UncaughtErrorEvent: "UNCAUGHT_ERROR",
}

for _class, _names in _CONSTANTS.items():
    for _name in _names.split():
        extend_type(_class, _name, as3_name(_name.lower()))
    with_as3_names(_class, extend_type)
with_as3_names(EventDispatcher, extend_type)

# The event types that each class dispatches itself. A listener for a misspelt one gets a warning.
_DISPATCHED: dict[type[EventDispatcher], str] = {
    Stream: "connect secureConnect socketData outputProgress end ioError close",
    Acceptor: "connect ioError tlsError close",
    Reactor: "uncaughtError",
}

for _dispatcher, _types in _DISPATCHED.items():
    extend_type(_dispatcher, "_dispatched", frozenset(_types.split()))

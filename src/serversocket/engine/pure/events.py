"""Events: how the engine tells a program what happened, and the classes of the most frequent ones."""

from __future__ import annotations

import math
from typing import Any, Self

from ... import errors
from ..event_text import format_event

CONNECT = "connect"
CLOSE = "close"
SOCKET_DATA = "socketData"
OUTPUT_PROGRESS = "outputProgress"
END = "end"
IO_ERROR = "ioError"
TYPES = {CONNECT, CLOSE, SOCKET_DATA, OUTPUT_PROGRESS, END, IO_ERROR}

_new = object.__new__  # found faster than as an attribute of a class


def event_type(type: object) -> str:
    """Returns the type of an event as a plain string: that of an enumeration has another class."""
    if type is None:
        raise errors.null("type")
    if not isinstance(type, str):
        raise errors.wrong_type("type", type, "a string")
    return str.__str__(type)


class Event:
    """An event: what happened, and to which dispatcher (AIR: ``flash.events.Event``).

    Args:
        type: What happened, such as ``"connect"``.
        bubbles: Kept for AIR's programs; sockets have no parents to bubble to.
        cancelable: True if `prevent_default` has an effect.

    Raises:
        TypeError: `type` is not a string.

    Example:
        >>> Event("ready").to_string()
        '[Event type="ready" bubbles=false cancelable=false eventPhase=2]'
    """

    __slots__ = ("_bubbles_", "_cancelable_", "_prevented_", "_stopped_", "_target_", "_type_")

    _type_: str
    _target_: Any

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = _new(cls)
        self._type_ = self._target_ = None  # type: ignore[assignment]
        self._bubbles_ = self._cancelable_ = self._prevented_ = self._stopped_ = False
        return self

    def __init__(self, type: str, bubbles: bool = False, cancelable: bool = False) -> None:
        self._type_ = type if type.__class__ is str else event_type(type)
        self._bubbles_ = bool(bubbles)
        self._cancelable_ = bool(cancelable)

    @property
    def type(self) -> str:
        """What happened (AIR: ``type``)."""
        return self._type_

    @property
    def bubbles(self) -> bool:
        """Kept for AIR's programs; sockets have no parents to bubble to (AIR: ``bubbles``)."""
        return self._bubbles_

    @property
    def cancelable(self) -> bool:
        """True if `prevent_default` has an effect (AIR: ``cancelable``)."""
        return self._cancelable_

    @property
    def target(self) -> Any:
        """The dispatcher that the event happened to; ``None`` before a listener is called (AIR: ``target``)."""
        return self._target_

    @property
    def current_target(self) -> Any:
        """The dispatcher whose listener is running; for sockets always `target` (AIR: ``currentTarget``)."""
        return self._target_

    @property
    def event_phase(self) -> int:
        """``EventPhase.AT_TARGET`` (2), even before a dispatch (AIR: ``eventPhase``)."""
        return 2

    def clone(self) -> Event:
        """Returns a new event of the same type; subclasses override it to keep their fields (AIR: ``clone``).

        Example:
            >>> Event("ready", cancelable=True).clone().cancelable
            True
        """
        return Event(self._type_, self._bubbles_, self._cancelable_)

    def is_default_prevented(self) -> bool:
        """Returns True if `prevent_default` was called on a cancelable event (AIR: ``isDefaultPrevented``)."""
        return self._prevented_

    def prevent_default(self) -> None:
        """Cancels the event's default action; no effect unless `cancelable` (AIR: ``preventDefault``)."""
        if self._cancelable_:
            self._prevented_ = True

    def stop_propagation(self) -> None:
        """Keeps the event from other nodes; the listeners of this one still run (AIR: ``stopPropagation``)."""

    def stop_immediate_propagation(self) -> None:
        """Keeps the event from every listener that has not run yet (AIR: ``stopImmediatePropagation``)."""
        self._stopped_ = True

    def format_to_string(self, class_name: str, *names: str) -> str:
        """Returns ``[class_name name=value …]``, as AIR prints events (AIR: ``formatToString``).

        Args:
            class_name: The name of the class, which comes first.
            *names: Attributes to print, in AS3 or PEP 8 spelling.

        Example:
            >>> Event("ready").format_to_string("Ready", "type", "bubbles")
            '[Ready type="ready" bubbles=false]'
        """
        return format_event(self, class_name, names)

    def to_string(self) -> str:
        """Returns the event as AIR prints it (AIR: ``toString``)."""
        return self.format_to_string("Event", "type", "bubbles", "cancelable", "eventPhase")

    def __str__(self) -> str:
        return self.to_string()

    def __repr__(self) -> str:
        return f"<{self.to_string().strip('[]')}>"


def number(value: float) -> int:
    """Returns a value as AIR's Number, a double; a whole one, such as every count of bytes, is an int here."""
    exact = math.ldexp(value, 0)
    return int(exact) if abs(exact) < 2**53 and exact.is_integer() else exact  # type: ignore[return-value]


class ProgressEvent(Event):
    """Bytes have arrived (AIR: ``flash.events.ProgressEvent``).

    Args:
        type: ``ProgressEvent.SOCKET_DATA`` from a socket.
        bubbles: See `Event`.
        cancelable: See `Event`.
        bytes_loaded: How many bytes have just arrived.
        bytes_total: 0 from a socket: the length of a stream is not known.

    Raises:
        TypeError: `type` is not a string.

    Example:
        >>> ProgressEvent("socketData", bytes_loaded=5).bytes_loaded
        5
    """

    __slots__ = ("_bytes_loaded_", "_bytes_total_")

    _bytes_loaded_: int
    _bytes_total_: int

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._bytes_loaded_ = self._bytes_total_ = 0
        return self

    def __init__(
        self,
        type: str,
        bubbles: bool = False,
        cancelable: bool = False,
        bytes_loaded: int = 0,
        bytes_total: int = 0,
    ) -> None:
        Event.__init__(self, type, bubbles, cancelable)
        self.bytes_loaded = bytes_loaded
        self.bytes_total = bytes_total

    @property
    def bytes_loaded(self) -> int:
        """How many bytes have just arrived."""
        return self._bytes_loaded_

    @bytes_loaded.setter
    def bytes_loaded(self, value: int) -> None:
        self._bytes_loaded_ = number(value)

    @property
    def bytes_total(self) -> int:
        """How many bytes there will be; 0 from a socket."""
        return self._bytes_total_

    @bytes_total.setter
    def bytes_total(self, value: int) -> None:
        self._bytes_total_ = number(value)

    def clone(self) -> ProgressEvent:
        """Returns a new `ProgressEvent` with the same fields (AIR: ``clone``)."""
        return ProgressEvent(self._type_, self._bubbles_, self._cancelable_, self.bytes_loaded, self.bytes_total)

    def to_string(self) -> str:
        """Returns the event as AIR prints it (AIR: ``toString``)."""
        return self.format_to_string(
            "ProgressEvent", "type", "bubbles", "cancelable", "eventPhase", "bytesLoaded", "bytesTotal"
        )


def socket_data(size: int) -> ProgressEvent:
    """Returns the event for input that has arrived, without the checks of `__init__`: it is made for each arrival."""
    event = _new(ProgressEvent)
    event._type_ = SOCKET_DATA
    event._bubbles_ = event._cancelable_ = event._prevented_ = event._stopped_ = False
    event._target_ = None
    event._bytes_loaded_ = size
    event._bytes_total_ = 0
    return event


class OutputProgressEvent(Event):
    """Output has gone to the system (AIR: ``flash.events.OutputProgressEvent``).

    Args:
        type: ``OutputProgressEvent.OUTPUT_PROGRESS``.
        bubbles: See `Event`.
        cancelable: See `Event`.
        bytes_pending: How many bytes are still waiting to be sent.
        bytes_total: How many bytes were written to the socket since it was connected.

    Raises:
        TypeError: `type` is not a string.

    Example:
        >>> OutputProgressEvent("outputProgress", bytes_pending=0, bytes_total=9).bytes_total
        9
    """

    __slots__ = ("_bytes_pending_", "_bytes_total_")

    _bytes_pending_: int
    _bytes_total_: int

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self._bytes_pending_ = self._bytes_total_ = 0
        return self

    def __init__(
        self,
        type: str,
        bubbles: bool = False,
        cancelable: bool = False,
        bytes_pending: int = 0,
        bytes_total: int = 0,
    ) -> None:
        Event.__init__(self, type, bubbles, cancelable)
        self.bytes_pending = bytes_pending
        self.bytes_total = bytes_total

    @property
    def bytes_pending(self) -> int:
        """How many bytes are still waiting to be sent."""
        return self._bytes_pending_

    @bytes_pending.setter
    def bytes_pending(self, value: int) -> None:
        self._bytes_pending_ = number(value)

    @property
    def bytes_total(self) -> int:
        """How many bytes were written to the socket since it was connected."""
        return self._bytes_total_

    @bytes_total.setter
    def bytes_total(self, value: int) -> None:
        self._bytes_total_ = number(value)

    def clone(self) -> OutputProgressEvent:
        """Returns a new `OutputProgressEvent` with the same fields (AIR: ``clone``)."""
        return OutputProgressEvent(self._type_, self._bubbles_, self._cancelable_, self.bytes_pending, self.bytes_total)

    def to_string(self) -> str:
        """Returns the event as AIR prints it (AIR: ``toString``)."""
        return self.format_to_string(
            "OutputProgressEvent", "type", "bubbles", "cancelable", "eventPhase", "bytesPending", "bytesTotal"
        )


class ServerSocketConnectEvent(Event):
    """A client has connected (AIR: ``flash.events.ServerSocketConnectEvent``).

    Args:
        type: ``ServerSocketConnectEvent.CONNECT``.
        bubbles: See `Event`.
        cancelable: See `Event`.
        socket: The connection.

    Raises:
        TypeError: `type` is not a string.

    Example:
        >>> ServerSocketConnectEvent("connect").socket is None
        True
    """

    __slots__ = ("socket",)

    socket: Any

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self.socket = None
        return self

    def __init__(self, type: str, bubbles: bool = False, cancelable: bool = False, socket: Any = None) -> None:
        Event.__init__(self, type, bubbles, cancelable)
        self.socket = socket

    def clone(self) -> ServerSocketConnectEvent:
        """Returns a new `ServerSocketConnectEvent` with the same socket (AIR: ``clone``)."""
        return ServerSocketConnectEvent(self._type_, self._bubbles_, self._cancelable_, self.socket)

    def to_string(self) -> str:
        """Returns the event as AIR prints it (AIR: ``toString``)."""
        return self.format_to_string(
            "ServerSocketConnectEvent", "type", "bubbles", "cancelable", "eventPhase", "socket"
        )


def client_connected(stream: object) -> ServerSocketConnectEvent:
    """Returns the event of an accepted connection, made like `socket_data`."""
    event = _new(ServerSocketConnectEvent)
    event._type_ = CONNECT
    event._bubbles_ = event._cancelable_ = event._prevented_ = event._stopped_ = False
    event._target_ = None
    event.socket = stream
    return event

"""Events, and the dispatcher that hands them to listeners."""

from __future__ import annotations

import math
import operator
import sys
import weakref
from collections.abc import Callable
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any, NoReturn, Self

from .. import errors
from ..forgetting import when_gone
from ..formatting import format_event
from ..listeners import refuse_coroutine_function, warn_of_name
from ..nesting import BY_GREENLET, nesting
from ..uncaught import leaves
from ..unpatched import local

Listener = Callable[..., object]

CONNECT = "connect"
CLOSE = "close"
SOCKET_DATA = "socketData"
OUTPUT_PROGRESS = "outputProgress"
END = "end"
_TYPES = {CONNECT, CLOSE, SOCKET_DATA, OUTPUT_PROGRESS, END, "ioError"}

_TAKES_ANY_NUMBER = 4  # the flag CO_VARARGS of a code object


class _Depth(local):  # type: ignore[misc]
    """Dispatches inside each other, on this thread; a turn of a reactor is one."""

    depth = 0

    def __enter__(self) -> None:
        depth = self.depth
        if depth:
            depth = nesting.enter(depth)
        self.depth = depth + 1

    def __exit__(self, *exception: object) -> None:
        depth = self.depth = self.depth - 1
        if depth >= BY_GREENLET:
            nesting.leave()


dispatching = _Depth()
_report_error: Callable[[BaseException, EventDispatcher], object] | None = None


def set_error_reporter(reporter: Callable[[BaseException, EventDispatcher], object] | None) -> None:
    """Sets what is called with ``(exception, dispatcher)`` for each listener that raised."""
    global _report_error
    _report_error = reporter


def report_error(error: BaseException, dispatcher: EventDispatcher) -> None:
    if _report_error is None:
        raise error
    _report_error(error, dispatcher)


def extend_type(cls: type, name: str, value: object) -> None:
    """Sets an attribute on an engine class; native types refuse ``setattr``."""
    setattr(cls, name, value)


_new = object.__new__  # found sooner than as an attribute of a class


class Event:
    """An event: what happened, and to whom (AIR: ``flash.events.Event``).

    Args:
        type: What happened, such as ``"connect"``.
        bubbles: Kept for AIR's programs; sockets have no parents to bubble to.
        cancelable: Whether `prevent_default` has an effect.

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
        self._type_ = type if type.__class__ is str else _text(type)
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
        """Whether `prevent_default` has an effect (AIR: ``cancelable``)."""
        return self._cancelable_

    @property
    def target(self) -> Any:
        """The dispatcher that the event happened to; ``None`` until a listener was reached (AIR: ``target``)."""
        return self._target_

    @property
    def current_target(self) -> Any:
        """The dispatcher whose listener runs; for sockets always `target` (AIR: ``currentTarget``)."""
        return self._target_

    @property
    def event_phase(self) -> int:
        """``EventPhase.AT_TARGET`` (2), even before a dispatch (AIR: ``eventPhase``)."""
        return 2

    def clone(self) -> Event:
        """A new event of the same type; subclasses override it to keep their fields (AIR: ``clone``).

        Example:
            >>> Event("ready", cancelable=True).clone().cancelable
            True
        """
        return Event(self._type_, self._bubbles_, self._cancelable_)

    def is_default_prevented(self) -> bool:
        """Whether `prevent_default` was called on a cancelable event (AIR: ``isDefaultPrevented``)."""
        return self._prevented_

    def prevent_default(self) -> None:
        """Cancels what would follow by default; no effect unless `cancelable` (AIR: ``preventDefault``)."""
        if self._cancelable_:
            self._prevented_ = True

    def stop_propagation(self) -> None:
        """Keeps the event from other nodes; the listeners of this one still run (AIR: ``stopPropagation``)."""

    def stop_immediate_propagation(self) -> None:
        """Keeps the event from every listener that has not run yet (AIR: ``stopImmediatePropagation``)."""
        self._stopped_ = True

    def format_to_string(self, class_name: str, *names: str) -> str:
        """``[class_name name=value …]`` as AIR prints events (AIR: ``formatToString``).

        Args:
            class_name: What stands first.
            *names: Attributes to print, in AS3 or PEP 8 spelling.

        Example:
            >>> Event("ready").format_to_string("Ready", "type", "bubbles")
            '[Ready type="ready" bubbles=false]'
        """
        return format_event(self, class_name, names)

    def to_string(self) -> str:
        """The event as AIR prints it (AIR: ``toString``)."""
        return self.format_to_string("Event", "type", "bubbles", "cancelable", "eventPhase")

    def __str__(self) -> str:
        return self.to_string()

    def __repr__(self) -> str:
        return f"<{self.to_string().strip('[]')}>"


def number(value: float) -> int:
    """AIR's Number, which is a double; a whole one, as every count of bytes is, is an int here."""
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
        """A new `ProgressEvent` with the same fields (AIR: ``clone``)."""
        return ProgressEvent(self._type_, self._bubbles_, self._cancelable_, self.bytes_loaded, self.bytes_total)

    def to_string(self) -> str:
        """The event as AIR prints it (AIR: ``toString``)."""
        return self.format_to_string(
            "ProgressEvent", "type", "bubbles", "cancelable", "eventPhase", "bytesLoaded", "bytesTotal"
        )


def socket_data(size: int) -> ProgressEvent:
    """The event of an arrival: made for every one of them, hence without what `__init__` checks."""
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
        bytes_pending: How many bytes still wait to be sent.
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
        """How many bytes still wait to be sent."""
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
        """A new `OutputProgressEvent` with the same fields (AIR: ``clone``)."""
        return OutputProgressEvent(self._type_, self._bubbles_, self._cancelable_, self.bytes_pending, self.bytes_total)

    def to_string(self) -> str:
        """The event as AIR prints it (AIR: ``toString``)."""
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
        """A new `ServerSocketConnectEvent` with the same socket (AIR: ``clone``)."""
        return ServerSocketConnectEvent(self._type_, self._bubbles_, self._cancelable_, self.socket)

    def to_string(self) -> str:
        """The event as AIR prints it (AIR: ``toString``)."""
        return self.format_to_string(
            "ServerSocketConnectEvent", "type", "bubbles", "cancelable", "eventPhase", "socket"
        )


def client_connected(stream: object) -> ServerSocketConnectEvent:
    """The event of an accepted connection, made as `socket_data`."""
    event = _new(ServerSocketConnectEvent)
    event._type_ = CONNECT
    event._bubbles_ = event._cancelable_ = event._prevented_ = event._stopped_ = False
    event._target_ = None
    event.socket = stream
    return event


class _Registration:
    """A listener that is kept alive."""

    __slots__ = ("call", "listener", "priority", "use_capture")

    def __init__(self, listener: Listener, use_capture: bool, priority: int) -> None:
        self.listener = listener
        self.use_capture = use_capture
        self.priority = priority
        #: What a dispatch calls with the event; None: nothing, for a dispatcher has no capture phase.
        self.call = None if use_capture else _with_event(listener)


class _WeakRegistration:
    """A listener that may go away; both `listener` and `call` are None then."""

    __slots__ = ("_reference", "priority", "use_capture")

    def __init__(
        self, listener: Listener, use_capture: bool, priority: int, gone: Callable[[object], None] | None
    ) -> None:
        weakly: Any = weakref.WeakMethod if type(listener) is MethodType else weakref.ref
        self._reference: Callable[[], Listener | None] = weakly(listener, gone)
        self.use_capture = use_capture
        self.priority = priority

    @property
    def listener(self) -> Listener | None:
        return self._reference()

    @property
    def call(self) -> Listener | None:
        listener = self._reference()
        return None if listener is None or self.use_capture else _with_event(listener)


_Registrations = tuple[_Registration | _WeakRegistration, ...]

_NOBODY: dict[str, _Registrations] = {}  # shared by all dispatchers without listeners, never filled
_NONE: _Registrations = ()


def _with_event(listener: Listener) -> Listener:
    """What to call with an event: AIR's listeners may be functions without any parameter."""
    bound = type(listener) is MethodType
    function = listener.__func__ if isinstance(listener, MethodType) else listener
    if type(function) is FunctionType:
        code = function.__code__
        if code.co_argcount <= bound and not code.co_flags & _TAKES_ANY_NUMBER:
            return lambda event: listener()
    return listener


def _same(a: Listener | None, b: Listener) -> bool:
    return a is b or (type(a) is type(b) and type(a) in (MethodType, BuiltinMethodType) and a == b)


class EventDispatcher:
    """Keeps listeners and hands events to them (AIR: ``flash.events.EventDispatcher``).

    Args:
        target: What events dispatched here have as `Event.target`; this dispatcher itself by default.

    Example:
        >>> dispatcher = EventDispatcher()
        >>> dispatcher.add_event_listener("ready", print)
        >>> dispatcher.dispatch_event(Event("ready"))
        [Event type="ready" bubbles=false cancelable=false eventPhase=2]
        True
    """

    # Defaults of the class, here and in all subclasses: nothing depends on a subclass calling __init__, and an
    # instance holds only what differs.
    _listeners_: dict[str, _Registrations] = _NOBODY
    _aggregate_: object = None

    def __init__(self, target: object = None) -> None:
        if target is not None:
            self._aggregate_ = target

    def _check_(self) -> None:
        """Refuses calls from a thread that does not own this object."""

    def _listening_changed(self, type: str, present: bool) -> None:
        """Called when the first listener of a type came or the last one went."""

    def add_event_listener(
        self,
        type: str,
        listener: Listener,
        use_capture: bool = False,
        priority: int = 0,
        use_weak_reference: bool = False,
    ) -> None:
        """Registers a listener (AIR: ``addEventListener``).

        Args:
            type: The event's type, such as ``"socketData"``.
            listener: Called with the event. The same listener is registered once only.
            use_capture: Registers for the capture phase, which sockets do not have.
            priority: Higher ones run first; equal ones in the order they were added.
            use_weak_reference: Does not keep the listener alive.

        Raises:
            TypeError: `listener` is ``None``, cannot be called or is a coroutine function, or `type` or `priority` has
                a wrong type.

        Warns:
            UserWarning: `type` is no event of this class, and nearly the name of one. Other names are the program's.

        Example:
            >>> EventDispatcher().add_event_listener("ready", print, priority=10)
        """
        self._check_()
        type = _text(type)
        if listener is None:
            raise errors.null("listener")
        if not callable(listener):
            raise errors.wrong_type("listener", listener, "callable")
        refuse_coroutine_function("listener", listener)
        if isinstance(priority, bool) or not hasattr(priority, "__index__"):
            raise errors.wrong_type("priority", priority, "an integer")
        rank = min(max(operator.index(priority), -sys.maxsize - 1), sys.maxsize)
        use_capture = bool(use_capture)
        if type not in _TYPES and type not in self._listeners_:
            warn_of_name(self, type)
        known = self._listeners_.get(type, _NONE)
        if any(entry.use_capture == use_capture and _same(entry.listener, listener) for entry in known):
            return
        entry: _Registration | _WeakRegistration
        if use_weak_reference:
            entry = _WeakRegistration(listener, use_capture, rank, when_gone(self, type))
        else:
            entry = _Registration(listener, use_capture, rank)
        entries = [entry for entry in known if entry.listener is not None]
        first = not entries
        entries.append(entry)
        entries.sort(key=lambda entry: entry.priority, reverse=True)  # equal ones stay in order
        if self._listeners_ is _NOBODY:
            self._listeners_ = {}
        self._listeners_[type] = tuple(entries)
        if first:
            self._listening_changed(type, True)

    def remove_event_listener(self, type: str, listener: Listener, use_capture: bool = False) -> None:
        """Removes a listener; nothing happens if it is not registered (AIR: ``removeEventListener``).

        Args:
            type: The event's type.
            listener: What was registered.
            use_capture: As it was registered.

        Raises:
            TypeError: `listener` is ``None``, or `type` is not a string.
        """
        self._check_()
        type = _text(type)
        if listener is None:
            raise errors.null("listener")
        use_capture = bool(use_capture)
        self._keep_(type, lambda entry: entry.use_capture != use_capture or not _same(entry.listener, listener))

    def _forget_gone(self, type: str) -> None:
        self._keep_(type, lambda entry: True)

    def _keep_(self, type: str, wanted: Callable[[_Registration | _WeakRegistration], bool]) -> None:
        entries = self._listeners_.get(type, _NONE)
        kept = tuple(entry for entry in entries if wanted(entry) and entry.listener is not None)
        if kept:
            self._listeners_[type] = kept
        elif entries:
            del self._listeners_[type]
            self._listening_changed(type, False)

    def has_event_listener(self, type: str) -> bool:
        """Whether anybody listens to a type of event (AIR: ``hasEventListener``).

        Raises:
            TypeError: `type` is not a string.
        """
        self._check_()
        type = _text(type)
        return any(entry.listener is not None for entry in self._listeners_.get(type, _NONE))

    def will_trigger(self, type: str) -> bool:
        """As `has_event_listener`: a socket has no ancestors (AIR: ``willTrigger``).

        Raises:
            TypeError: `type` is not a string.
        """
        return self.has_event_listener(type)

    def dispatch_event(self, event: Event) -> bool:
        """Hands an event to its listeners (AIR: ``dispatchEvent``).

        A listener's exception stops neither the other listeners nor the caller: it becomes an ``uncaughtError`` event
        of the reactor. An event that was dispatched before is cloned first.

        Args:
            event: The event.

        Returns:
            ``False`` if a listener prevented the default of a cancelable event, else ``True``.

        Raises:
            TypeError: `event` is ``None`` or no `Event`, or its ``clone()`` gave none.
            DispatchRecursionError: More than 256 dispatches are inside each other.

        Example:
            >>> EventDispatcher().dispatch_event(Event("ready"))
            True
        """
        self._check_()
        _require_event(event)
        if event.target is not None:
            event = event.clone()
            _require_event(event)
        entries = self._listeners_.get(event._type_)
        if entries:
            with dispatching:
                self._deliver_(event, entries)
        return not event.is_default_prevented()

    def _deliver_(self, event: Event, entries: _Registrations) -> None:
        """Hands an event that is new to listeners. The caller counts: `dispatch_event` each time, a turn once."""
        target = self if self._aggregate_ is None else self._aggregate_
        for entry in entries:
            call = entry.call
            if call is None:
                continue
            event._target_ = target
            try:
                call(event)
            except BaseException as error:
                if leaves(error):
                    raise
                report_error(error, self)
            if event._stopped_:
                break
        if event._target_ is None:
            self._keep_(event._type_, lambda entry: True)  # nobody was reached: forget listeners that are gone

    def to_string(self) -> str:
        """``[object ClassName]`` (AIR: ``toString``).

        Example:
            >>> EventDispatcher().to_string()
            '[object EventDispatcher]'
        """
        return f"[object {type(self).__name__}]"

    def __str__(self) -> str:
        return self.to_string()

    def __reduce__(self) -> NoReturn:
        raise errors.no_copies(self)


def _text(type: object) -> str:
    """The type of an event as a plain string: that of an enumeration is one of another class."""
    if type is None:
        raise errors.null("type")
    if not isinstance(type, str):
        raise errors.wrong_type("type", type, "a string")
    return str.__str__(type)


def _require_event(event: object) -> None:
    if event is None:
        raise errors.null("event")
    if not isinstance(event, Event):
        raise errors.wrong_type("event", event, "an Event")

"""The dispatcher: keeps listeners, and hands events to them."""

from __future__ import annotations

import sys
import weakref
from collections.abc import Callable
from types import BuiltinMethodType, FunctionType, MethodType
from typing import Any, NoReturn

from ... import errors
from ...checks import as_int
from ..dispatch_depth import BY_GREENLET, nesting
from ..listener_checks import refuse_coroutine_function, warn_of_name
from ..uncaught import leaves
from ..unpatched import local
from ..weak_listeners import when_gone
from .events import TYPES, Event, event_type

Listener = Callable[..., object]

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
_report_error: Callable[[BaseException, object], object] | None = None


def set_error_reporter(reporter: Callable[[BaseException, object], object] | None) -> None:
    """Sets the function that is called with ``(exception, dispatcher)`` for each listener that raised."""
    global _report_error
    _report_error = reporter


def report_error(error: BaseException, dispatcher: object) -> None:
    if _report_error is None:
        raise error
    _report_error(error, dispatcher)


class _Registration:
    """A listener that is kept alive."""

    __slots__ = ("call", "listener", "priority", "use_capture")

    def __init__(self, listener: Listener, use_capture: bool, priority: int) -> None:
        self.listener = listener
        self.use_capture = use_capture
        self.priority = priority
        #: Called with the event by a dispatch; None: nothing, for a dispatcher has no capture phase.
        self.call = None if use_capture else _with_event(listener)


class _WeakRegistration:
    """A listener that is held weakly; `listener` and `call` are None once it is collected."""

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
    """Returns a callable that takes an event: AIR's listeners may be functions without any parameter."""
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
        target: The `Event.target` of events that are dispatched here; this dispatcher itself by default.

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

    def _listening_changed_(self, type: str, present: bool) -> None:
        """Called when the first listener of a type was added or the last one was removed."""

    def _listener_failed_(self) -> None:
        """Called when a listener has raised, and that was reported."""

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
            UserWarning: `type` is no event of this class, but nearly the name of one. Other names are the program's.

        Example:
            >>> EventDispatcher().add_event_listener("ready", print, priority=10)
        """
        self._check_()
        type = event_type(type)
        if listener is None:
            raise errors.null("listener")
        if not callable(listener):
            raise errors.wrong_type("listener", listener, "callable")
        refuse_coroutine_function("listener", listener)
        rank = min(max(as_int("priority", priority, "an integer"), -sys.maxsize - 1), sys.maxsize)
        use_capture = bool(use_capture)
        if type not in TYPES and type not in self._listeners_:
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
            self._listening_changed_(type, True)

    def remove_event_listener(self, type: str, listener: Listener, use_capture: bool = False) -> None:
        """Removes a listener; nothing happens if it is not registered (AIR: ``removeEventListener``).

        Args:
            type: The event's type.
            listener: The listener that was registered.
            use_capture: The same value as when it was registered.

        Raises:
            TypeError: `listener` is ``None``, or `type` is not a string.
        """
        self._check_()
        type = event_type(type)
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
            self._listening_changed_(type, False)

    def has_event_listener(self, type: str) -> bool:
        """Returns True if there is a listener of a type of event (AIR: ``hasEventListener``).

        Raises:
            TypeError: `type` is not a string.
        """
        self._check_()
        type = event_type(type)
        return any(entry.listener is not None for entry in self._listeners_.get(type, _NONE))

    def will_trigger(self, type: str) -> bool:
        """Does the same as `has_event_listener`: a socket has no ancestors (AIR: ``willTrigger``).

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
        """Hands a new event to listeners. The caller counts the dispatch: `dispatch_event` each time, a turn once."""
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
                self._listener_failed_()
            if event._stopped_:
                break
        if event._target_ is None:
            self._keep_(event._type_, lambda entry: True)  # no listener was reached: forget those that were collected

    def to_string(self) -> str:
        """Returns ``[object ClassName]`` (AIR: ``toString``).

        Example:
            >>> EventDispatcher().to_string()
            '[object EventDispatcher]'
        """
        return f"[object {type(self).__name__}]"

    def __str__(self) -> str:
        return self.to_string()

    def __reduce__(self) -> NoReturn:
        raise errors.no_copies(self)


def _require_event(event: object) -> None:
    if event is None:
        raise errors.null("event")
    if not isinstance(event, Event):
        raise errors.wrong_type("event", event, "an Event")

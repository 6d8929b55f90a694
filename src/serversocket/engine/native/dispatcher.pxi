# The dispatcher: keeps listeners, and hands events to them.

cdef extern from "Python.h":
    """
    /* Dispatches inside each other, on this thread; see dispatch_depth.py. The model saves a call for each access. */
    static __thread int dispatch_depth __attribute__((tls_model("initial-exec"))) = 0;
    """
    ctypedef struct PyCodeObject:
        int co_argcount
        int co_flags
    PyCodeObject *PyFunction_GET_CODE "(PyCodeObject *)PyFunction_GET_CODE" (object function)
    int dispatch_depth
    PyObject *PyObject_CallNoArgs(object function)
    str PyUnicode_FromObject(object text)


cdef enum:
    TAKES_MORE = 4      # CO_VARARGS: a function with *args


cdef object report_error = None


def set_error_reporter(reporter):
    """Sets the function that is called with ``(exception, dispatcher)`` for each listener that raised."""
    global report_error
    report_error = reporter


cdef int report(error, dispatcher) except -1:
    if report_error is None:
        raise error
    report_error(error, dispatcher)
    return 0


@cython.final
@cython.auto_pickle(False)
cdef class Registration:
    """A listener with options; listeners without any stand in the tuples as they are."""

    cdef object listener        # or a weak reference to it
    cdef Py_ssize_t priority
    cdef bint use_capture
    cdef bint weak
    cdef bint bare              # it takes no argument

    cdef object resolve(self):
        return self.listener() if self.weak else self.listener


def _priority(entry):
    return (<Registration> entry).priority if type(entry) is Registration else 0


cdef bint _is_bare(listener) except -1:
    """Returns True for a Python function or method without positional arguments, as AIR's listeners may be.

    Raises a TypeError for a coroutine function.
    """
    cdef bint bound = type(listener) is MethodType
    cdef PyCodeObject *code
    function = listener.__func__ if bound else listener
    if type(function) is FunctionType:
        code = PyFunction_GET_CODE(function)
        if code.co_flags & coroutine_flags:
            raise errors.coroutine_function("listener", listener)
        return code.co_argcount <= bound and not code.co_flags & TAKES_MORE
    if type(function) is not BuiltinMethodType:
        refuse_coroutine_function("listener", listener)
        if type(function) is NativeFunction:
            return function.__code__.co_argcount <= <int> bound and not function.__code__.co_flags & TAKES_MORE
    return False


cdef object _plain(listener):
    """Returns a direct method's original: a method of the interpreter's own kind."""
    if type(listener) is BuiltinMethodType and isinstance(listener.__self__, Stream):
        if listener.__name__ in METHOD_NAMES:
            return MethodType(getattr(Stream, listener.__name__), listener.__self__)
    return listener


cdef bint _same(a, b) except -1:
    if a is b:
        return True
    return type(a) is type(b) and type(a) in (MethodType, BuiltinMethodType) and a == b


cdef bint _matches(entry, listener, bint use_capture) except -1:
    if type(entry) is not Registration:
        return not use_capture and _same(entry, listener)
    return (<Registration> entry).use_capture == use_capture and _same((<Registration> entry).resolve(), listener)


cdef bint _alive(entry) except -1:
    return type(entry) is not Registration or (<Registration> entry).resolve() is not None


@cython.auto_pickle(False)
cdef class EventDispatcher:
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

    # By Kind: None, or a tuple of listeners and Registrations that is not empty. None without any listener.
    cdef tuple listeners
    cdef object aggregate
    cdef object __weakref__

    def __init__(self, target=None):
        self.aggregate = target

    cdef int _check(self) except -1:
        """Refuses calls from a thread that does not own this object."""
        return 0

    cdef int _listening_changed(self, kind) except -1:
        """Called when the first listener of a type was added or the last one was removed."""
        return 0

    cdef int _listener_failed(self) except -1:
        """Called when a listener has raised, and that was reported."""
        return 0

    def add_event_listener(self, type, listener, use_capture=False, priority=0, use_weak_reference=False):
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
        cdef tuple entries
        cdef list changed
        cdef Py_ssize_t rank, place
        cdef bint bare
        self._check()
        type = event_type(type)
        if listener is None:
            raise errors.null("listener")
        if not callable(listener):
            raise errors.wrong_type("listener", listener, "callable")
        listener = _plain(listener)
        bare = _is_bare(listener)
        rank = 0 if priority is DEFAULT_PRIORITY else _rank(priority)
        place = _place(type)
        entries = self._entries_at(place, type)
        if place == KINDS and not entries:
            warn_of_name(self, type)
            entries = self._entries_at(place, type)    # a warning may run any code
        for entry in entries:
            if _matches(entry, listener, use_capture):
                return
        if use_weak_reference:
            entry = _weak_entry(listener, use_capture, rank, bare, when_gone(self, type))
        elif use_capture or rank or bare:
            entry = _registration(listener, use_capture, rank, bare)
        else:
            entry = listener
        if not entries:
            self._store_at(place, type, (entry,))
            self._listening_changed(type)
            return
        changed = [known for known in entries if _alive(known)]
        changed.append(entry)
        changed.sort(key=_priority, reverse=True)    # equal ones stay in order
        self._store_at(place, type, tuple(changed))

    def remove_event_listener(self, type, listener, use_capture=False):
        """Removes a listener; nothing happens if it is not registered (AIR: ``removeEventListener``).

        Args:
            type: The event's type.
            listener: The listener that was registered.
            use_capture: The same value as when it was registered.

        Raises:
            TypeError: `listener` is ``None``, or `type` is not a string.
        """
        cdef tuple entries
        self._check()
        type = event_type(type)
        if listener is None:
            raise errors.null("listener")
        listener = _plain(listener)
        entries = self._entries(type)
        self._keep(type, entries, tuple([e for e in entries if not _matches(e, listener, use_capture)]))

    def _forget_gone(self, str type not None):
        entries = self._entries(type)
        self._keep(type, entries, tuple([entry for entry in entries if _alive(entry)]))

    @cython.final
    cdef int _keep(self, str kind, tuple before, tuple after) except -1:
        if len(after) == len(before):
            return 0
        self._store(kind, after)
        if not after:
            self._listening_changed(kind)
        return 0

    @cython.final
    cdef tuple _entries(self, str kind):
        """Returns the listeners of a type; empty if there are none."""
        return self._entries_at(_place(kind), kind)

    @cython.final
    cdef tuple _entries_at(self, Py_ssize_t place, str kind):
        if self.listeners is None:
            return ()
        found = <object> PyTuple_GET_ITEM(self.listeners, place)
        if place == KINDS and found is not None:
            found = found.get(kind)
        return () if found is None else <tuple> found

    @cython.final
    cdef int _store(self, str kind, tuple entries) except -1:
        """Replaces the listeners of a type."""
        return self._store_at(_place(kind), kind, entries)

    @cython.final
    cdef int _store_at(self, Py_ssize_t place, str kind, tuple entries) except -1:
        cdef tuple before = NOTHING if self.listeners is None else self.listeners
        cdef tuple after = PyTuple_New(KINDS + 1)
        cdef Py_ssize_t index
        cdef bint any_left = False
        changed = entries or None
        if place == KINDS:
            others = dict(before[KINDS] or ())
            others[kind] = entries
            changed = {name: some for name, some in others.items() if some} or None
        for index in range(KINDS + 1):
            kept = changed if index == place else <object> PyTuple_GET_ITEM(before, index)
            any_left |= kept is not None
            Py_INCREF(kept)
            PyTuple_SET_ITEM(after, index, kept)
        self.listeners = after if any_left else None
        return 0

    def has_event_listener(self, type):
        """Returns True if there is a listener of a type of event (AIR: ``hasEventListener``).

        Raises:
            TypeError: `type` is not a string.
        """
        self._check()
        type = event_type(type)
        return any([_alive(entry) for entry in self._entries(type)])

    def will_trigger(self, type):
        """Does the same as `has_event_listener`: a socket has no ancestors (AIR: ``willTrigger``).

        Raises:
            TypeError: `type` is not a string.
        """
        return self.has_event_listener(type)

    def dispatch_event(self, event):
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
        cdef tuple entries
        self._check()
        _require_event(event)
        if event.target is not None:
            event = event.clone()
            _require_event(event)
        entries = self._entries((<Event> event).type)
        if entries:
            self._deliver(<Event> event, entries)
        return not event.is_default_prevented()

    def to_string(self):
        """Returns ``[object ClassName]`` (AIR: ``toString``).

        Example:
            >>> EventDispatcher().to_string()
            '[object EventDispatcher]'
        """
        return f"[object {type(self).__name__}]"

    def __str__(self):
        return self.to_string()

    def __reduce__(self):
        raise errors.no_copies(self)

    @cython.final
    cdef int _tell(self, int kind, double part, double total) except -1:
        """Dispatches an event of the engine's, if it has a listener."""
        cdef tuple entries = listeners_of(self, kind)
        return 0 if entries is None else self._tell_listeners(entries, kind, part, total)

    @cython.final
    cdef int _tell_listeners(self, tuple entries, int kind, double part, double total) except -1:
        cdef Event event = take_event(kind)
        event.part = part
        event.total = total
        try:
            return self._deliver(event, entries)
        finally:
            give_back(event, kind)

    @cython.final
    cdef int _deliver(self, Event event, tuple entries) except -1:
        global dispatch_depth
        cdef Py_ssize_t index
        cdef PyObject *entry
        cdef PyObject *answer
        cdef bint stale = False
        if dispatch_depth:
            _within_another()
        dispatch_depth += 1
        try:
            for index in range(PyTuple_GET_SIZE(entries)):
                entry = PyTuple_GET_ITEM(entries, index)
                if type(<object> entry) is Registration:
                    if not self._call_registered(<Registration> entry, event, &stale):
                        continue
                else:
                    event._target = self if self.aggregate is None else self.aggregate
                    answer = call_listener(entry, event)
                    if answer == NULL:
                        self._listener_raised()
                    else:
                        Py_DECREF(<object> answer)
                if event.flags & STOPPED:
                    break
        finally:
            dispatch_depth -= 1
            if dispatch_depth >= counted_by_greenlet:
                _left_by_greenlet()
        if stale:
            self._forget_gone(event.type)
        return 0

    @cython.final
    cdef bint _call_registered(self, Registration registration, Event event, bint *stale) except -1:
        """Returns True if it has called the listener; sets `stale` if that was collected."""
        cdef PyObject *answer
        listener = registration.resolve()
        if listener is None or registration.use_capture:
            stale[0] |= listener is None
            return False
        event._target = self if self.aggregate is None else self.aggregate
        answer = PyObject_CallNoArgs(listener) if registration.bare else call_listener(<PyObject *> listener, event)
        if answer == NULL:
            self._listener_raised()
        else:
            Py_DECREF(<object> answer)
        return True

    @cython.final
    cdef int _listener_raised(self) except -1:
        try:
            pending_error()
        except BaseException as error:
            if leaves(error):
                raise
            report(error, self)
            self._listener_failed()
        return 0


cdef int counted_by_greenlet = BY_GREENLET
cdef int coroutine_flags = MAKES_COROUTINE


cdef int _within_another() except -1:
    """Counts a dispatch that begins while others of its thread are under way."""
    global dispatch_depth
    dispatch_depth = nesting.enter(dispatch_depth)
    return 0


cdef int _left_by_greenlet() except -1:
    """Counts a dispatch that ends while greenlets are counted separately."""
    nesting.leave()
    return 0


cdef object NativeFunction = type(set_error_reporter)
cdef dict PLACES = {kind: place for place, kind in enumerate(TYPES[:KINDS])}
cdef tuple NOTHING = (None,) * (KINDS + 1)
cdef object DEFAULT_PRIORITY = 0


cdef Py_ssize_t _place(str kind) except -1:
    """Returns the place of a type's listeners in a dispatcher's table."""
    place = PLACES.get(kind)
    return KINDS if place is None else place


cdef Py_ssize_t _rank(priority) except? -1:
    return PyNumber_AsSsize_t(as_int("priority", priority, "an integer"), NULL)


cdef Registration _weak_entry(listener, bint use_capture, Py_ssize_t priority, bint bare, gone):
    cdef Registration registration
    reference = (weakref.WeakMethod if type(listener) is MethodType else weakref.ref)(listener, gone)
    registration = _registration(reference, use_capture, priority, bare)
    registration.weak = True
    return registration


cdef Registration _registration(listener, bint use_capture, Py_ssize_t priority, bint bare):
    cdef Registration registration = Registration.__new__(Registration)
    registration.listener = listener
    registration.use_capture = use_capture
    registration.priority = priority
    registration.bare = bare
    return registration


cdef str event_type(kind):
    """Returns a checked type of an event; a copy for a subclass of str, which could run any code in comparisons."""
    if kind is None:
        raise errors.null("type")
    if not isinstance(kind, str):
        raise errors.wrong_type("type", kind, "a string")
    return PyUnicode_FromObject(kind)


cdef int _require_event(event) except -1:
    if event is None:
        raise errors.null("event")
    if not isinstance(event, Event):
        raise errors.wrong_type("event", event, "an Event")
    return 0


cdef inline tuple listeners_of(EventDispatcher dispatcher, int kind):
    """Returns the listeners of an event of the engine's, or None."""
    if dispatcher.listeners is None:
        return None
    return <tuple> borrowed_item(<PyObject *> dispatcher.listeners, kind)


cdef inline bint heard(EventDispatcher dispatcher, int kind) noexcept:
    """Returns True if an event of the engine's has a listener."""
    cdef PyObject *listeners = <PyObject *> dispatcher.listeners
    return listeners != <PyObject *> None and borrowed_item(listeners, kind) != <PyObject *> None

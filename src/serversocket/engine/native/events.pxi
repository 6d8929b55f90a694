# Events: how the engine tells a program what happened, and the classes of the most frequent ones.

# The events that the engine itself dispatches, and others that most programs listen to. The number is the place of the
# type's listeners in a dispatcher's table.
cdef enum Kind:
    CONNECT
    CLOSE
    SOCKET_DATA
    OUTPUT_PROGRESS
    END
    IO_ERROR
    KINDS                   # how many; this place of the table has the listeners of all other types, in a dictionary
    CLIENT = KINDS          # not for tables: the event of a server's CONNECT


cdef enum:
    PREVENTED = 1
    STOPPED = 2


@cython.freelist(32)
@cython.auto_pickle(False)
cdef class Event:
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

    # The fields of the hot subclasses stand here, so that all of them have one size and share one freelist:
    # Cython hands a subclass an instance from it only if it is no larger than its base.
    cdef readonly str type
    cdef readonly bint bubbles
    cdef readonly bint cancelable
    cdef uint8_t flags
    cdef object _target
    cdef object subject
    cdef double part        # AIR's Number
    cdef double total

    def __init__(self, type, bubbles=False, cancelable=False):
        self._describe(type, bubbles, cancelable)

    @cython.final
    cdef int _describe(self, kind, bubbles, cancelable) except -1:
        self.type = event_type(kind)
        self.bubbles = bubbles
        self.cancelable = cancelable
        return 0

    @property
    def event_phase(self):
        """``EventPhase.AT_TARGET`` (2), even before a dispatch (AIR: ``eventPhase``)."""
        return 2

    def clone(self):
        """Returns a new event of the same type; subclasses override it to keep their fields (AIR: ``clone``).

        Example:
            >>> Event("ready", cancelable=True).clone().cancelable
            True
        """
        return Event(self.type, self.bubbles, self.cancelable)

    def is_default_prevented(self):
        """Returns True if `prevent_default` was called on a cancelable event (AIR: ``isDefaultPrevented``)."""
        return bool(self.flags & PREVENTED)

    def prevent_default(self):
        """Cancels the event's default action; no effect unless `cancelable` (AIR: ``preventDefault``)."""
        if self.cancelable:
            self.flags |= PREVENTED

    def stop_propagation(self):
        """Keeps the event from other nodes; the listeners of this one still run (AIR: ``stopPropagation``)."""

    def stop_immediate_propagation(self):
        """Keeps the event from every listener that has not run yet (AIR: ``stopImmediatePropagation``)."""
        self.flags |= STOPPED

    def format_to_string(self, class_name, *names):
        """Returns ``[class_name name=value …]``, as AIR prints events (AIR: ``formatToString``).

        Args:
            class_name: The name of the class, which comes first.
            *names: Attributes to print, in AS3 or PEP 8 spelling.

        Example:
            >>> Event("ready").format_to_string("Ready", "type", "bubbles")
            '[Ready type="ready" bubbles=false]'
        """
        return format_event(self, class_name, names)

    def to_string(self):
        """Returns the event as AIR prints it (AIR: ``toString``)."""
        return self.format_to_string("Event", "type", "bubbles", "cancelable", "eventPhase")

    def __str__(self):
        return self.to_string()

    def __repr__(self):
        return f"<{self.to_string().strip("[]")}>"

    # Cython's own would read beyond the end of a state that is too short.
    def __reduce__(self):
        fields = (
            self.type, self.bubbles, self.cancelable, self.flags, self._target, self.subject, self.part, self.total,
        )
        return __newobj__, (type(self),), (fields, getattr(self, "__dict__", {}))

    def __setstate__(self, state):
        fields, attributes = state
        (
            self.type, self.bubbles, self.cancelable, self.flags, self._target, self.subject, self.part, self.total,
        ) = fields
        for name, value in attributes.items():
            setattr(self, name, value)


cdef inline object number(double value):
    """Returns a Number as Python writes it: a whole one as an int."""
    return <int64_t> value if fabs(value) < 2.0**53 and value == <double> <int64_t> value else value


@cython.auto_pickle(False)
cdef class ProgressEvent(Event):
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

    def __init__(self, type, bubbles=False, cancelable=False, bytes_loaded=0, bytes_total=0):
        self._describe(type, bubbles, cancelable)
        self.part = bytes_loaded
        self.total = bytes_total

    @property
    def bytes_loaded(self):
        """How many bytes have just arrived."""
        return number(self.part)

    @bytes_loaded.setter
    def bytes_loaded(self, value):
        self.part = value

    @property
    def bytes_total(self):
        """How many bytes there will be; 0 from a socket."""
        return number(self.total)

    @bytes_total.setter
    def bytes_total(self, value):
        self.total = value

    def clone(self):
        """Returns a new `ProgressEvent` with the same fields (AIR: ``clone``)."""
        return ProgressEvent(self.type, self.bubbles, self.cancelable, number(self.part), number(self.total))

    def to_string(self):
        """Returns the event as AIR prints it (AIR: ``toString``)."""
        return self.format_to_string(
            "ProgressEvent", "type", "bubbles", "cancelable", "eventPhase", "bytesLoaded", "bytesTotal"
        )


@cython.auto_pickle(False)
cdef class OutputProgressEvent(Event):
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

    def __init__(self, type, bubbles=False, cancelable=False, bytes_pending=0, bytes_total=0):
        self._describe(type, bubbles, cancelable)
        self.part = bytes_pending
        self.total = bytes_total

    @property
    def bytes_pending(self):
        """How many bytes are still waiting to be sent."""
        return number(self.part)

    @bytes_pending.setter
    def bytes_pending(self, value):
        self.part = value

    @property
    def bytes_total(self):
        """How many bytes were written to the socket since it was connected."""
        return number(self.total)

    @bytes_total.setter
    def bytes_total(self, value):
        self.total = value

    def clone(self):
        """Returns a new `OutputProgressEvent` with the same fields (AIR: ``clone``)."""
        return OutputProgressEvent(self.type, self.bubbles, self.cancelable, number(self.part), number(self.total))

    def to_string(self):
        """Returns the event as AIR prints it (AIR: ``toString``)."""
        return self.format_to_string(
            "OutputProgressEvent", "type", "bubbles", "cancelable", "eventPhase", "bytesPending", "bytesTotal"
        )


@cython.auto_pickle(False)
cdef class ServerSocketConnectEvent(Event):
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

    def __init__(self, type, bubbles=False, cancelable=False, socket=None):
        self._describe(type, bubbles, cancelable)
        self.subject = socket

    @property
    def socket(self):
        """The connected `Socket`; close it to turn the client away."""
        return self.subject

    @socket.setter
    def socket(self, value):
        self.subject = value

    def clone(self):
        """Returns a new `ServerSocketConnectEvent` with the same socket (AIR: ``clone``)."""
        return ServerSocketConnectEvent(self.type, self.bubbles, self.cancelable, self.subject)

    def to_string(self):
        """Returns the event as AIR prints it (AIR: ``toString``)."""
        return self.format_to_string(
            "ServerSocketConnectEvent", "type", "bubbles", "cancelable", "eventPhase", "socket"
        )


# ------------------------------------------------------------------------------------------------ event pool
# One event of each kind that the engine dispatches is used again if no listener has kept it.

cdef tuple TYPES = ("connect", "close", "socketData", "outputProgress", "end", "ioError", "connect")
cdef tuple CLASSES = (Event, Event, ProgressEvent, OutputProgressEvent, Event, None, ServerSocketConnectEvent)
cdef PyObject *spares[CLIENT + 1]


cdef Event take_event(int kind):
    """Returns an event of the engine's, as new."""
    cdef PyObject *found = spares[kind]
    if found == NULL:
        found = new_instance(<type> PyTuple_GET_ITEM(CLASSES, kind), ())
        if found == NULL:
            pending_error()
        (<Event> found).type = <str> PyTuple_GET_ITEM(TYPES, kind)
    spares[kind] = NULL
    return our_event(found)


cdef int give_back(Event event, int kind) except -1:
    """Returns the event that was taken; the caller holds the only counted reference."""
    if not only_reference(<PyObject *> event):
        return 0
    event._target = None
    if event.subject is not None:
        event.subject = None
    if <PyObject *> event.type != borrowed_item(<PyObject *> TYPES, kind):
        event.type = <str> PyTuple_GET_ITEM(TYPES, kind)
    if not only_reference(<PyObject *> event) or spares[kind] != NULL:
        return 0        # a dropped reference may have been the last one, and have run Python code
    event.flags = 0
    event.bubbles = event.cancelable = False
    event.part = event.total = 0
    Py_INCREF(event)
    spares[kind] = <PyObject *> event
    return 0

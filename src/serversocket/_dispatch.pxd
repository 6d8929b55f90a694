"""Events and the dispatcher, as the other native modules see them."""

from cpython.object cimport PyObject
from libc.stdint cimport uint8_t


cdef extern from *:
    """
    /* An instance as calling the class makes it, but without __init__. */
    #define NEW_INSTANCE(cls, arguments) (((PyTypeObject *)(cls))->tp_new((PyTypeObject *)(cls), (arguments), NULL))
    """
    object NEW_INSTANCE(type cls, tuple arguments)


cdef class Event:
    # The fields of the hot subclasses stand here, so that all of them have one size and share one freelist:
    # Cython hands a subclass an instance from it only if it is no larger than its base.
    cdef readonly str type
    cdef readonly bint bubbles
    cdef readonly bint cancelable
    cdef uint8_t flags
    cdef object _target
    cdef object _current_target
    cdef object subject
    cdef double part        # AIR's Number
    cdef double total

    cdef int _describe(self, kind, bubbles, cancelable) except -1


cdef class ProgressEvent(Event):
    pass


cdef class OutputProgressEvent(Event):
    pass


cdef class ServerSocketConnectEvent(Event):
    pass


cdef class EventDispatcher:
    cdef dict listeners         # event type -> tuple of listeners and Registrations, never an empty one
    cdef object aggregate
    cdef object __weakref__

    cdef int _check(self) except -1
    cdef int _listening(self, kind) except -1
    cdef int _keep(self, kind, tuple before, tuple after) except -1
    cdef tuple _listeners_of(self, str kind)
    cdef int _deliver(self, Event event, tuple entries) except -1


cdef int report(error, dispatcher) except -1


cdef inline Event new_event(type cls, str kind):
    """An event of a hot class, made for one dispatch and not checked."""
    cdef Event event = NEW_INSTANCE(cls, ())
    event.type = kind
    return event

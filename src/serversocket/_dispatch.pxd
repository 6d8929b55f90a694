"""Events and the dispatcher, as the other native modules see them."""

cimport cython
from cpython.object cimport PyObject
from cpython.tuple cimport PyTuple_GET_ITEM
from libc.stdint cimport uint8_t


cdef extern from *:
    """
    /* An instance as calling the class makes it, but without __init__; NULL with an exception set. */
    #define NEW_INSTANCE(cls, arguments) (((PyTypeObject *)(cls))->tp_new((PyTypeObject *)(cls), (arguments), NULL))

    #define pending_error() (-1)
    """
    PyObject *NEW_INSTANCE(type cls, tuple arguments)
    int pending_error() except -1       # raises the exception that a raw call has set


# What the engine itself dispatches, and what most programs listen for besides. The number is the place of the type's
# listeners in a dispatcher's table.
cdef enum Kind:
    CONNECT
    CLOSE
    SOCKET_DATA
    OUTPUT_PROGRESS
    END
    IO_ERROR
    KINDS                   # how many; in the table, at this place: the listeners of all other types, in a dictionary
    CLIENT = KINDS          # not for tables: the event of a server's CONNECT


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


@cython.final
cdef class Registration:
    cdef object listener        # or a weak reference to it
    cdef Py_ssize_t priority
    cdef bint use_capture
    cdef bint weak
    cdef bint bare              # it takes no argument

    cdef object resolve(self)


cdef class EventDispatcher:
    # By Kind: None, or a tuple of listeners and Registrations that is not empty. None while nobody listens to anything.
    cdef tuple listeners
    cdef object aggregate
    cdef object __weakref__

    cdef int _check(self) except -1
    cdef int _listening(self, kind) except -1
    cdef tuple _entries(self, str kind)
    cdef int _store(self, str kind, tuple entries) except -1
    cdef int _keep(self, str kind, tuple before, tuple after) except -1
    cdef int _tell(self, int kind, double part, double total) except -1
    cdef int _deliver(self, Event event, tuple entries) except -1
    cdef bint _call_registered(self, Registration registration, Event event, target) except -1
    cdef int _listener_raised(self) except -1


cdef inline tuple listeners_of(EventDispatcher dispatcher, int kind):
    """The listeners of what the engine dispatches, or None."""
    return None if dispatcher.listeners is None else <tuple> PyTuple_GET_ITEM(dispatcher.listeners, kind)


cdef int report(error, dispatcher) except -1

cdef Event take_event(int kind)
cdef int give_back(Event event, int kind) except -1

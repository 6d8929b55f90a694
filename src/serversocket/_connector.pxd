"""A connect that is under way, as the other native modules see it."""

from . cimport _system as system
from ._address cimport Address
from ._reactor cimport Source


cdef class Connector(Source):
    cdef Address address
    cdef system.socklen_t address_length
    cdef object callback
    cdef int code

# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
# cython: embedsignature=True, always_allow_keywords=True
"""The native engine: from the system's readiness to the call of a listener, without interpreted code of the package.

    Event                            EventDispatcher
      ProgressEvent                    Reactor       the turn; has a Poller: epoll and the table of watched sources
      OutputProgressEvent              Source        owns one descriptor
      ServerSocketConnectEvent           Connector   a connect that is under way
                                         Acceptor    accepts connections
                                         Output      the queue of pending output
                                           Lingerer    sends the rest of a closed connection
                                           Input       unread input, and how it is read
                                             Flow        both together: writing, buffer limits, idleness
                                               Receiver    receives input, through a Filter if there is one
                                                 Stream      a connection: its life

Each part has a file in `engine/native`. They are compiled as one unit, so that a call from one part to another costs no
more than a call within one: the compiler sees all of them, and a method that no class overrides, marked `final`, is
called directly or inlined.

Two rules hold for every class. A descriptor has one owner and is closed once, by `Source._shut`. After every call
into Python, check the state again: the listener may have closed, aborted, reconnected or dropped anything.

`docs/design.md` is the contract that these parts and their twin `engine/pure` keep.
"""

cimport cython
from cpython.buffer cimport PyBUF_SIMPLE, PyBUF_WRITABLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer
from cpython.bytearray cimport PyByteArray_AS_STRING, PyByteArray_GET_SIZE
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromObject, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.exc cimport PyErr_CheckSignals, PyErr_SetFromErrno, PyErr_WriteUnraisable
from cpython.mem cimport PyMem_Free, PyMem_Malloc, PyMem_Realloc
from cpython.object cimport PyObject, PyTypeObject
from cpython.ref cimport Py_DECREF, Py_INCREF
from cpython.tuple cimport PyTuple_GET_ITEM, PyTuple_GET_SIZE, PyTuple_New, PyTuple_SET_ITEM
from libc.math cimport fabs
from libc.stdint cimport int64_t, uint8_t, uint32_t, uint64_t, uintptr_t

from .engine.native cimport system

import inspect
import math
import os
import threading
import weakref
from copyreg import __newobj__
from types import BuiltinMethodType, FunctionType, MethodType

from . import errors
from .checks import as_int, as_timeout
from .defaults import CONNECTION_LIMIT, REACTOR_LIMIT
from .engine.accept_errors import Action, action_for
from .engine.dispatch_depth import BY_GREENLET, nesting
from .engine.event_text import format_event
from .engine.lingering import Patience
from .engine.listener_checks import MAKES_COROUTINE, refuse_coroutine_function, warn_of_name
from .engine.shedding import shed
from .engine.uncaught import leaves
from .engine.weak_listeners import when_gone

include "engine/native/system.pxi"
include "engine/native/memory.pxi"
include "engine/native/events.pxi"
include "engine/native/dispatcher.pxi"
include "engine/native/poller.pxi"
include "engine/native/reactor.pxi"
include "engine/native/source.pxi"
include "engine/native/output.pxi"
include "engine/native/input.pxi"
include "engine/native/flow.pxi"
include "engine/native/filter.pxi"
include "engine/native/receiver.pxi"
include "engine/native/lingerer.pxi"
include "engine/native/connector.pxi"
include "engine/native/stream.pxi"
include "engine/native/acceptor.pxi"
include "engine/native/waiter.pxi"
include "engine/native/fast_methods.pxi"

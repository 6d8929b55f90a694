"""The engine in pure Python, on `selectors` and `socket`: the twin of the native one.

`docs/design.md` is the contract that both keep. Names with one underscore at either end (`_slot_`) are this engine's
own fields and methods: they cannot meet the names of a subclass, just as the native engine's fields cannot.
"""

from __future__ import annotations

from .acceptor import Acceptor
from .connector import Connector
from .dispatcher import EventDispatcher, set_error_reporter
from .events import Event, OutputProgressEvent, ProgressEvent, ServerSocketConnectEvent
from .fast_methods import extend_type, quicken
from .filter import Filter
from .lingerer import Lingerer
from .reactor import Reactor
from .source import Source
from .stream import Stream
from .waiter import LoopWaiter

__all__ = [
    "Acceptor",
    "Connector",
    "Event",
    "EventDispatcher",
    "Filter",
    "Lingerer",
    "LoopWaiter",
    "OutputProgressEvent",
    "ProgressEvent",
    "Reactor",
    "ServerSocketConnectEvent",
    "Source",
    "Stream",
    "extend_type",
    "quicken",
    "set_error_reporter",
]

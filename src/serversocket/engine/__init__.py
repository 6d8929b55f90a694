"""Picks the engine: native where it is built, else its twin in Python.

``SERVERSOCKET_IMPL=native`` or ``=pure`` in the environment demands one of them. Type checkers always see the twin.
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING

_demanded = os.environ.get("SERVERSOCKET_IMPL", "")
if _demanded not in ("", "native", "pure"):
    raise ImportError(f"SERVERSOCKET_IMPL={_demanded!r}: it must be 'native' or 'pure', or not be set")

implementation = "pure"
if TYPE_CHECKING or _demanded == "pure":
    from . import pure as _chosen
else:
    try:
        _chosen = import_module("serversocket._core")

        implementation = "native"
    except ImportError as error:
        if _demanded == "native" or not isinstance(error, ModuleNotFoundError):
            how = "build it with a C compiler, in a checkout or an sdist: SERVERSOCKET_BUILD=native pip install ."
            raise ImportError(f"the native engine cannot be imported ({error}); {how}") from error
        from . import pure as _chosen

Event = _chosen.Event
EventDispatcher = _chosen.EventDispatcher
ProgressEvent = _chosen.ProgressEvent
OutputProgressEvent = _chosen.OutputProgressEvent
ServerSocketConnectEvent = _chosen.ServerSocketConnectEvent
Reactor = _chosen.Reactor
Source = _chosen.Source
Acceptor = _chosen.Acceptor
Stream = _chosen.Stream
Connector = _chosen.Connector
Filter = _chosen.Filter
LoopWaiter = _chosen.LoopWaiter
extend_type, set_error_reporter = _chosen.extend_type, _chosen.set_error_reporter
quicken = _chosen.quicken

"""Adobe AIR's `ServerSocket` for Python: a TCP server with callbacks and a native core.

    import serversocket

    def on_connect(event):
        print("connection from", event.socket.remote_address)
        event.socket.add_event_listener("socketData", on_data)

    def on_data(event):
        event.target.write(event.target.read())

    server = serversocket.ServerSocket()
    server.add_event_listener("connect", on_connect)
    server.bind(8080, "127.0.0.1")
    server.listen()
    serversocket.run()

The package is layered; each layer imports from lower layers only. `engine` is the path from the system's readiness
notification to the listener's call, natively (`_core`) or in Python. `loop`, `net` and `data` hold the public classes
above it. `aio` is for coroutines, `workers` for many cores, and `cli` is the command line. Every member has a PEP 8
name and works under its ActionScript name too.
"""

from . import aio as aio
from .data.byte_array import ByteArray as ByteArray
from .data.byte_array import CompressionAlgorithm as CompressionAlgorithm
from .data.typed import Endian as Endian
from .data.typed import ObjectEncoding as ObjectEncoding
from .engine import implementation as implementation
from .errors import ArgumentError as ArgumentError
from .errors import EOFError as EOFError
from .errors import IOError as IOError
from .errors import MemoryError as MemoryError
from .errors import RangeError as RangeError
from .errors import SecurityError as SecurityError
from .events import ErrorEvent as ErrorEvent
from .events import Event as Event
from .events import EventDispatcher as EventDispatcher
from .events import EventPhase as EventPhase
from .events import IOErrorEvent as IOErrorEvent
from .events import OutputProgressEvent as OutputProgressEvent
from .events import ProgressEvent as ProgressEvent
from .events import SecurityErrorEvent as SecurityErrorEvent
from .events import ServerSocketConnectEvent as ServerSocketConnectEvent
from .events import TextEvent as TextEvent
from .events import TLSErrorEvent as TLSErrorEvent
from .events import UncaughtErrorEvent as UncaughtErrorEvent
from .loop.reactor import Reactor as Reactor
from .loop.reactor import run as run
from .loop.reactor import stop as stop
from .loop.thread import BackgroundReactor as BackgroundReactor
from .loop.thread import run_in_thread as run_in_thread
from .net.contexts import tls_context as tls_context
from .net.hello import ClientHello as ClientHello
from .net.secure import TLSInfo as TLSInfo
from .net.server import ServerSocket as ServerSocket
from .net.socket import Socket as Socket
from .workers.supervisor import Supervisor as Supervisor

__version__ = "0.1.0"

__all__ = [
    "ArgumentError",
    "BackgroundReactor",
    "ByteArray",
    "ClientHello",
    "CompressionAlgorithm",
    "EOFError",
    "Endian",
    "ErrorEvent",
    "Event",
    "EventDispatcher",
    "EventPhase",
    "IOError",
    "IOErrorEvent",
    "MemoryError",
    "ObjectEncoding",
    "OutputProgressEvent",
    "ProgressEvent",
    "RangeError",
    "Reactor",
    "SecurityError",
    "SecurityErrorEvent",
    "ServerSocket",
    "ServerSocketConnectEvent",
    "Socket",
    "Supervisor",
    "TLSErrorEvent",
    "TLSInfo",
    "TextEvent",
    "UncaughtErrorEvent",
    "__version__",
    "aio",
    "implementation",
    "run",
    "run_in_thread",
    "stop",
    "tls_context",
]

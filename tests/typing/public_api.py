"""The whole public API as a program with strict types uses it; it is checked, not run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import assert_type

import serversocket
from serversocket import (
    ArgumentError,
    ByteArray,
    CompressionAlgorithm,
    Endian,
    EOFError,
    ErrorEvent,
    Event,
    EventDispatcher,
    EventPhase,
    IOError,
    IOErrorEvent,
    MemoryError,
    ObjectEncoding,
    OutputProgressEvent,
    ProgressEvent,
    RangeError,
    Reactor,
    SecurityError,
    SecurityErrorEvent,
    ServerSocket,
    ServerSocketConnectEvent,
    Socket,
    Supervisor,
    TextEvent,
    UncaughtErrorEvent,
)


def about_itself() -> None:
    assert_type(serversocket.__version__, str)
    if serversocket.implementation == "native":
        serversocket.run()
    serversocket.stop()


def running(reactor: Reactor) -> None:
    handle = reactor.call_later(0.5, print, "later", 1)
    assert_type(handle.cancel(), None)
    assert_type(reactor.call_soon_threadsafe(print, "soon"), None)
    assert_type(reactor.run(), None)
    assert_type(reactor.poll(), int)
    assert_type(reactor.poll(0.5), int)
    assert_type(reactor.stop(), None)
    assert_type(reactor.fileno(), int)
    assert_type(reactor.closed, bool)
    assert_type(reactor.running, bool)
    reactor.add_event_listener(UncaughtErrorEvent.UNCAUGHT_ERROR, uncaught)
    reactor.close()


def supervising(supervisor: Supervisor) -> None:
    def setup(server: ServerSocket) -> None:
        server.add_event_listener(Event.CONNECT, received)

    def setup_with_farewell(server: ServerSocket) -> Callable[[], None]:
        return server.reactor.stop

    async def set_up(server: ServerSocket) -> None:
        server.add_event_listener(Event.CONNECT, received)

    async def set_up_with_farewell(server: ServerSocket) -> Callable[[], Awaitable[None]]:
        return lambda: set_up(server)

    Supervisor(setup)
    Supervisor(set_up, start_timeout=5, watchdog=2.5, loop_factory=asyncio.new_event_loop)
    Supervisor(set_up_with_farewell, watchdog=None, loop_factory=None)
    with Supervisor(setup_with_farewell, 0, "::", workers=2, dual_stack=True, backlog=5, grace=0.5) as other:
        assert_type(other, Supervisor)
    assert_type(supervisor.local_address, str)
    assert_type(supervisor.localPort, int)
    assert_type(supervisor.workers, int)
    assert_type(supervisor.run(), None)
    assert_type(supervisor.stop(), None)
    assert_type(supervisor.restart(), None)
    assert_type(supervisor.close(), None)


def uncaught(event: UncaughtErrorEvent) -> None:
    assert_type(event.error, BaseException | None)
    event.prevent_default()


def dispatching(dispatcher: EventDispatcher) -> None:
    dispatcher.add_event_listener(Event.CONNECT, received, False, 1, True)
    dispatcher.add_event_listener(Event.CONNECT, lambda: None, use_capture=True, priority=1, use_weak_reference=False)
    dispatcher.remove_event_listener(Event.CONNECT, received, False)
    assert_type(dispatcher.dispatch_event(Event("ready")), bool)
    assert_type(dispatcher.has_event_listener("ready"), bool)
    assert_type(dispatcher.will_trigger("ready"), bool)
    assert_type(dispatcher.to_string(), str)


def dispatching_as_in_as3(dispatcher: EventDispatcher) -> None:
    dispatcher.addEventListener(Event.CONNECT, received, False, 1, True)
    dispatcher.removeEventListener(Event.CONNECT, received, False)
    assert_type(dispatcher.dispatchEvent(Event("ready")), bool)
    assert_type(dispatcher.hasEventListener("ready"), bool)
    assert_type(dispatcher.willTrigger("ready"), bool)
    assert_type(dispatcher.toString(), str)


class Door(EventDispatcher):
    def open(self) -> bool:
        return self.dispatch_event(DoorEvent("open", width=2))


class DoorEvent(Event):
    def __init__(self, type: str, width: int) -> None:
        super().__init__(type, False, True)
        self.width = width

    def clone(self) -> DoorEvent:
        return DoorEvent(self.type, self.width)


def received(event: Event) -> None:
    assert_type(event.type, str)
    assert_type(event.bubbles, bool)
    assert_type(event.cancelable, bool)
    assert_type(event.event_phase, int)
    assert_type(event.eventPhase, int)
    print(event.target, event.current_target, event.currentTarget, EventPhase.AT_TARGET)
    assert_type(event.clone(), Event)
    assert_type(event.is_default_prevented(), bool)
    assert_type(event.isDefaultPrevented(), bool)
    event.prevent_default()
    event.preventDefault()
    event.stop_propagation()
    event.stopPropagation()
    event.stop_immediate_propagation()
    event.stopImmediatePropagation()
    assert_type(event.to_string(), str)
    assert_type(event.toString(), str)
    assert_type(event.format_to_string("Event", "type"), str)
    assert_type(event.formatToString("Event", "type"), str)


def events() -> None:
    connect = ServerSocketConnectEvent(ServerSocketConnectEvent.CONNECT, socket=Socket())
    assert_type(connect.socket, Socket)
    assert_type(connect.clone(), ServerSocketConnectEvent)
    progress = ProgressEvent(ProgressEvent.SOCKET_DATA, bytes_loaded=5, bytes_total=0)
    assert_type((progress.bytes_loaded, progress.bytesLoaded), tuple[int, int])
    assert_type((progress.bytes_total, progress.bytesTotal), tuple[int, int])
    output = OutputProgressEvent(OutputProgressEvent.OUTPUT_PROGRESS, bytes_pending=5, bytes_total=9)
    assert_type((output.bytes_pending, output.bytesPending), tuple[int, int])
    assert_type((output.bytes_total, output.bytesTotal), tuple[int, int])
    assert_type(TextEvent(TextEvent.LINK, text="here").text, str)
    error = ErrorEvent(ErrorEvent.ERROR, text="Error", id=1)
    assert_type((error.error_id, error.errorID), tuple[int, int])
    assert_type(IOErrorEvent(IOErrorEvent.IO_ERROR, errno=1, strerror="no").errno, int | None)
    assert_type(IOErrorEvent(IOErrorEvent.IO_ERROR).error, IOError)
    assert_type(SecurityErrorEvent(SecurityErrorEvent.SECURITY_ERROR).clone(), SecurityErrorEvent)


def serving() -> None:
    with ServerSocket() as server:
        assert_type(server, ServerSocket)
        assert_type(ServerSocket.is_supported, bool)
        assert_type(ServerSocket.isSupported, bool)
        server.add_event_listener(ServerSocketConnectEvent.CONNECT, connected)
        server.bind()
        server.bind(local_port=0, local_address="::", dual_stack=True, reuse_port=True)
        server.listen()
        server.listen(backlog=5)
        assert_type((server.bound, server.listening), tuple[bool, bool])
        assert_type((server.local_port, server.localPort), tuple[int, int])
        assert_type((server.local_address, server.localAddress), tuple[str | None, str | None])
        assert_type(server.fileno(), int)
        assert_type(server.reactor, Reactor)
        server.close()
    ServerSocket(reactor=Reactor())


def connected(event: ServerSocketConnectEvent) -> None:
    event.socket.add_event_listener(ProgressEvent.SOCKET_DATA, data_arrived)


def data_arrived(event: ProgressEvent) -> None:
    print(event.bytes_loaded)


def connecting() -> None:
    with Socket() as socket:
        assert_type(socket, Socket)
        socket.timeout = 1000
        socket.connect("localhost", 80)
        assert_type(socket.connected, bool)
        assert_type((socket.bytes_available, socket.bytesAvailable), tuple[int, int])
        assert_type((socket.bytes_pending, socket.bytesPending), tuple[int, int])
        assert_type((socket.local_address, socket.localAddress), tuple[str | None, str | None])
        assert_type((socket.local_port, socket.localPort), tuple[int, int])
        assert_type((socket.remote_address, socket.remoteAddress), tuple[str | None, str | None])
        assert_type((socket.remote_port, socket.remotePort), tuple[int, int])
        socket.tcp_no_delay = socket.tcpNoDelay = True
        assert_type(socket.read(), bytes)
        assert_type(socket.read(5), bytes)
        assert_type(socket.peek(5), bytes)
        assert_type(socket.view(), memoryview)
        assert_type(socket.view(5), memoryview)
        assert_type((socket.skip(), socket.skip(5)), tuple[int, int])
        assert_type(socket.readinto(bytearray(5)), int)
        socket.read_buffer = bytearray(100_000)
        socket.readBuffer = memoryview(bytearray(100_000))
        socket.read_buffer = socket.readBuffer = None
        assert_type(socket.write(b"hello"), int)
        assert_type(socket.write(memoryview(b"hello")), int)
        assert_type(socket.fileno(), int)
        socket.flush()
        socket.abort()
        socket.close()
    Socket("localhost", 80, reactor=Reactor())


def reading(source: Socket | ByteArray, into: ByteArray) -> None:
    source.endian = Endian.LITTLE_ENDIAN
    source.object_encoding = source.objectEncoding = ObjectEncoding.AMF3
    assert_type((source.read_boolean(), source.readBoolean()), tuple[bool, bool])
    assert_type((source.read_byte(), source.readByte()), tuple[int, int])
    assert_type((source.read_unsigned_byte(), source.readUnsignedByte()), tuple[int, int])
    assert_type((source.read_short(), source.readShort()), tuple[int, int])
    assert_type((source.read_unsigned_short(), source.readUnsignedShort()), tuple[int, int])
    assert_type((source.read_int(), source.readInt()), tuple[int, int])
    assert_type((source.read_unsigned_int(), source.readUnsignedInt()), tuple[int, int])
    assert_type((source.read_float(), source.readFloat()), tuple[float, float])
    assert_type((source.read_double(), source.readDouble()), tuple[float, float])
    assert_type((source.read_utf(), source.readUTF()), tuple[str, str])
    assert_type((source.read_utf_bytes(5), source.readUTFBytes(5)), tuple[str, str])
    assert_type((source.read_multi_byte(5, "utf-8"), source.readMultiByte(5, "utf-8")), tuple[str, str])
    source.read_bytes(into, 0, 5)
    source.readBytes(into, 0, 5)
    print(source.read_object(), source.readObject())


def writing(target: Socket | ByteArray, data: ByteArray) -> None:
    target.write_boolean(True)
    target.writeBoolean(True)
    target.write_byte(1)
    target.writeByte(1)
    target.write_short(1)
    target.writeShort(1)
    target.write_int(1)
    target.writeInt(1)
    target.write_unsigned_int(1)
    target.writeUnsignedInt(1)
    target.write_float(1.5)
    target.writeFloat(1.5)
    target.write_double(1.5)
    target.writeDouble(1.5)
    target.write_utf("hello")
    target.writeUTF("hello")
    target.write_utf_bytes("hello")
    target.writeUTFBytes("hello")
    target.write_multi_byte("hello", "utf-8")
    target.writeMultiByte("hello", "utf-8")
    target.write_bytes(data, 0, 5)
    target.writeBytes(b"hello")
    target.write_object({"a": 1})
    target.writeObject([1, 2])


def bytes_in_memory(data: ByteArray) -> None:
    data.length = 5
    data.position = 0
    assert_type((data.bytes_available, data.bytesAvailable), tuple[int, int])
    assert_type(data[0:2], bytes)
    data[0] = 255
    assert_type(len(data), int)
    assert_type(bytes(data), bytes)
    data.compress(CompressionAlgorithm.ZLIB)
    data.uncompress(CompressionAlgorithm.ZLIB)
    data.deflate()
    data.inflate()
    data.clear()
    assert_type((data.to_string(), data.toString()), tuple[str, str])
    assert_type((data.to_base64(), data.toBase64()), tuple[str, str])
    assert_type((data.to_hex_string(), data.toHexString()), tuple[str, str])
    assert_type(ByteArray.create_from_base64("aGk="), ByteArray)
    assert_type(ByteArray.createFromHexString("6869"), ByteArray)
    ByteArray.default_object_encoding = ObjectEncoding.AMF0
    ByteArray.defaultObjectEncoding = ObjectEncoding.AMF3


def failing(server: ServerSocket) -> None:
    try:
        server.bind(80)
    except (RangeError, ArgumentError, MemoryError) as error:
        assert_type((error.error_id, error.errorID), tuple[int, int])
        assert_type(error.message, str)
        assert_type((error.to_string(), error.toString()), tuple[str, str])
    except (EOFError, SecurityError) as error:
        assert_type(error.error_id, int)
    except IOError as error:
        print(error.errno, error.strerror)
    as_oserror: OSError = IOError("text", 2002, errno=1, strerror="reason")
    as_permission_error: PermissionError = SecurityError()
    as_value_error: ValueError = RangeError()
    print(as_oserror, as_permission_error, as_value_error)

"""Programs that use each facade, and what type checkers know of them; they are checked, not run."""

from __future__ import annotations

import ipaddress
import signal
import tkinter
from concurrent.futures import Future
from typing import Literal, assert_type

import anyio
import anyio.abc
import trio
import trio.abc
from PySide6.QtCore import QObject

import serversocket.aio.anyio
import serversocket.aio.trio
from serversocket import (
    BackgroundReactor,
    Event,
    IOErrorEvent,
    OutputProgressEvent,
    ProgressEvent,
    Reactor,
    ServerSocket,
    ServerSocketConnectEvent,
    Socket,
    UncaughtErrorEvent,
    aio,
    run_in_thread,
)
from serversocket.aio import AsyncServer, AsyncSocket
from serversocket.hosts import Hosting, gevent, glib, qt, tk

# ---- listeners


def connected(event: ServerSocketConnectEvent) -> None:
    socket = event.socket
    assert_type(socket, Socket)
    socket.allow_half_open = True
    socket.add_event_listener("socketData", data)
    socket.add_event_listener("end", ended)
    socket.add_event_listener(ProgressEvent.SOCKET_DATA, data)
    socket.addEventListener("outputProgress", progress)
    socket.add_event_listener("ioError", failed)
    socket.add_event_listener("close", ended)
    socket.add_event_listener("close", nothing)
    socket.add_event_listener("custom", ended)
    socket.add_event_listener("socketData", lambda event: print(event.bytes_loaded))
    # A listener of another event than this is refused.
    socket.add_event_listener("socketData", failed)  # type: ignore[arg-type]
    socket.add_event_listener("ioError", data)  # type: ignore[arg-type]
    socket.add_event_listener("connect", connected)  # type: ignore[arg-type]
    socket.add_event_listener("custom", data)  # type: ignore[arg-type]


def nothing() -> None: ...


def data(event: ProgressEvent) -> None:
    assert_type(event.bytes_loaded, int)


def progress(event: OutputProgressEvent) -> None:
    assert_type(event.bytes_pending, int)


def failed(event: IOErrorEvent) -> None:
    assert_type(event.errno, int | None)


def ended(event: Event) -> None:
    assert_type(event.type, str)


def uncaught(event: UncaughtErrorEvent) -> None:
    print(event.error)


def callbacks(reactor: Reactor) -> None:
    server = ServerSocket()
    server.add_event_listener("connect", connected)
    server.addEventListener(ServerSocketConnectEvent.CONNECT, connected)
    server.add_event_listener("ioError", failed)
    server.add_event_listener("connect", data)  # type: ignore[arg-type]
    reactor.add_event_listener("uncaughtError", uncaught)
    assert_type(reactor.call_every(1.5, print, "tick").cancelled, bool)
    assert_type(reactor.call_later(1.5, print, "tick").unref().ref().has_ref(), bool)
    assert_type(reactor.on_signal(signal.SIGTERM, reactor.stop).signum, int)


# ---- coroutines


async def handler(socket: AsyncSocket) -> None:
    async for chunk in socket:
        assert_type(chunk, bytes)
        await socket.send(chunk)
    assert_type(await socket.receive(), bytes)
    assert_type(await socket.receive_exactly(4), bytes)
    assert_type(await socket.receive_until(b"\n", 100), bytes)
    await socket.send_eof()
    assert_type(socket.socket, Socket)
    assert_type(socket.send_nowait(b"hello"), bool)
    assert_type(await aio.pipe(socket, socket), aio.Piped)
    assert_type((await aio.pipe(socket, socket)).to_target, int)
    await aio.pipe(socket, socket.socket)  # type: ignore[arg-type]
    await socket.send("text")  # type: ignore[arg-type]


async def coroutines() -> None:
    async with aio.listen(0, "127.0.0.1", backlog=5) as server:
        assert_type(server, AsyncServer)
        assert_type(server.server, ServerSocket)
        async with await aio.connect("127.0.0.1", server.local_port) as client:
            assert_type(client, AsyncSocket)
        await aio.connect("127.0.0.1", 80, local_address=ipaddress.ip_address("127.0.0.2"), local_port=5000)
        await aio.connect("127.0.0.1", 80, local_address=127)  # type: ignore[arg-type]
        async for accepted in server:
            assert_type(accepted, AsyncSocket)
        await server.serve(handler)
        event = await server.server.once("connect")
        assert_type(event, ServerSocketConnectEvent)
        assert_type(await event.socket.once("socketData"), ProgressEvent)
        assert_type(await event.socket.once("custom"), Event)
        AsyncSocket(event.socket)
        AsyncServer(ServerSocket())


async def streams_of_trio() -> None:
    listener = await serversocket.aio.trio.open_tcp_listener(0, "127.0.0.1")
    stream: trio.abc.HalfCloseableStream = await serversocket.aio.trio.open_tcp_stream("127.0.0.1", 80)
    await stream.send_all(b"hello")
    assert_type(await listener.accept(), serversocket.aio.trio.SocketStream)
    await trio.serve_listeners(serve_trio, [listener])


async def trio_around_ones_own(below: Socket, server: ServerSocket, wrapped: AsyncSocket) -> None:
    stream: trio.abc.HalfCloseableStream = serversocket.aio.trio.SocketStream(below)
    await serversocket.aio.trio.SocketStream(wrapped).send_eof()
    listener: trio.abc.Listener[serversocket.aio.trio.SocketStream] = serversocket.aio.trio.SocketListener(server)
    async with stream, listener, serversocket.aio.trio.SocketListener(AsyncServer(server)) as other:
        assert_type(await listener.accept(), serversocket.aio.trio.SocketStream)
        assert_type(other.server, AsyncServer)
        await trio.StapledStream(stream, stream).send_all(b"hello")
    await serversocket.aio.trio.open_tcp_listener(0, "::", backlog=5, dual_stack=True, max_connections=None)
    await serversocket.aio.trio.open_tcp_listener(0, "::", backlog="5")  # type: ignore[arg-type]
    await serversocket.aio.trio.open_tcp_stream("127.0.0.1", 80, local_address="127.0.0.2")
    await serversocket.aio.trio.open_tcp_stream("127.0.0.1", 80, local_port="5")  # type: ignore[arg-type]
    serversocket.aio.trio.SocketListener(below)  # type: ignore[arg-type]
    serversocket.aio.trio.SocketStream(server)  # type: ignore[arg-type]


async def serve_trio(stream: serversocket.aio.trio.SocketStream) -> None:
    assert_type(await stream.receive_some(), bytes)
    assert_type(stream.socket, AsyncSocket)


async def streams_of_anyio() -> None:
    listener = await serversocket.aio.anyio.create_tcp_listener(0, "127.0.0.1")
    stream: anyio.abc.ByteStream = await serversocket.aio.anyio.connect_tcp("127.0.0.1", 80)
    await stream.send(b"hello")
    await listener.serve(serve_anyio)


async def anyio_around_ones_own(below: Socket, server: ServerSocket, wrapped: AsyncSocket) -> None:
    stream: anyio.abc.ByteStream = serversocket.aio.anyio.SocketStream(below)
    await serversocket.aio.anyio.SocketStream(wrapped).send_eof()
    listener: anyio.abc.Listener[serversocket.aio.anyio.SocketStream] = serversocket.aio.anyio.SocketListener(server)
    async with stream, listener, serversocket.aio.anyio.SocketListener(AsyncServer(server)) as other:
        assert_type(await other.accept(), serversocket.aio.anyio.SocketStream)
        assert_type(other.server, AsyncServer)
        assert_type(stream.extra(anyio.abc.SocketAttribute.local_port), int)
    await serversocket.aio.anyio.create_tcp_listener(0, "::", reuse_port=True, defer_accept=1)
    await serversocket.aio.anyio.create_tcp_listener(0, "::", reuse_port="yes")  # type: ignore[arg-type]
    await serversocket.aio.anyio.connect_tcp("127.0.0.1", 80, local_address="127.0.0.2", local_port=5000)
    await serversocket.aio.anyio.connect_tcp("127.0.0.1", 80, local_port="5")  # type: ignore[arg-type]
    serversocket.aio.anyio.SocketListener(below)  # type: ignore[arg-type]
    serversocket.aio.anyio.SocketStream(server)  # type: ignore[arg-type]


async def serve_anyio(stream: serversocket.aio.anyio.SocketStream) -> None:
    assert_type(await stream.receive(), bytes)


# ---- hosts and threads


def window(root: tkinter.Tk, reactor: Reactor) -> None:
    with tk.attach(root, reactor) as hosting:
        assert_type(hosting, Hosting)
        assert_type(hosting.reactor, Reactor)
        ServerSocket(reactor=hosting.reactor)


def toolkits(parent: QObject, reactor: Reactor) -> None:
    assert_type(qt.attach(), Hosting)
    with qt.attach(parent, reactor) as hosting:
        assert_type(hosting.reactor, Reactor)
    with glib.attach(reactor=reactor) as hosting, gevent.attach(reactor) as other:
        assert_type(hosting.closed, bool)
        assert_type(other.reactor.on_signal(signal.SIGTERM, other.close).cancelled, bool)
    glib.attach("reactor")  # type: ignore[arg-type]
    gevent.attach("reactor")  # type: ignore[arg-type]


def listen(port: int) -> ServerSocket:
    server = ServerSocket()
    server.bind(port)
    return server


def thread() -> None:
    with run_in_thread(listen, 8080) as background:
        assert_type(background, BackgroundReactor[ServerSocket])
        assert_type(background.result, ServerSocket)
        assert_type(background.call(divmod, 7, 3), tuple[int, int])
        assert_type(background.submit(len, "abc"), Future[int])
        assert_type(background.reactor, Reactor)
        background.reactor.call_soon_threadsafe(print)
    run_in_thread(listen, "8080")  # type: ignore[arg-type]


def names() -> None:
    socket_data: Literal["socketData"] = ProgressEvent.SOCKET_DATA
    print(socket_data)

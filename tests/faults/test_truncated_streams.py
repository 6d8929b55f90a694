"""However a program ends, a peer that reads later gets all bytes or a reset, never a clean end of a part."""

from __future__ import annotations

import gc
import os
import signal
import socket
import subprocess
import sys
import textwrap

import pytest

import serversocket
from serversocket import Reactor, ServerSocket, run_in_thread

from ..behaviour.helpers import CHECKOUT, PATIENCE, on_posix, run_until

SIZE = 8_000_000  # bytes: more than the system takes while the peer reads nothing
MESSAGE = b"x" * SIZE


def outcome(peer):
    """How many bytes a plain socket still receives, and how its stream ends."""
    received = 0
    try:
        while chunk := peer.recv(262144):
            received += len(chunk)
    except ConnectionResetError:
        return "reset"
    return "whole" if received == SIZE else f"a clean end after {received} of {SIZE} bytes"


def client(port):
    peer = socket.socket()
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    peer.settimeout(PATIENCE)
    try:
        peer.connect(("127.0.0.1", port))
    except OSError:
        peer.close()
        raise
    return peer


def serve_one(reactor, then):
    """A server that writes a large message to its client and then does something, and the client."""
    server = ServerSocket(reactor=reactor)

    def connected(event):
        event.socket.add_event_listener("close", print)  # it is held
        event.socket.write(MESSAGE)
        then(event.socket)

    server.add_event_listener("connect", connected)
    server.bind(0, "127.0.0.1")
    server.listen()
    return server, client(server.local_port)


def nothing(_):
    pass


def close(accepted):
    accepted.close()


def write_eof(accepted):
    accepted.write_eof()


def leave(_):
    sys.exit(7)


@pytest.mark.parametrize("then", [nothing, close, write_eof, leave])
def test_closing_the_reactor_resets_what_is_not_sent(then):
    reactor = Reactor()
    server, peer = serve_one(reactor, then)
    with peer:
        if then is leave:
            with pytest.raises(SystemExit):
                reactor.run()
        else:
            run_until(reactor, lambda: server.connections == 1 and reactor.bytes_kept)
        reactor.close()
        assert outcome(peer) == "reset"


@pytest.mark.parametrize("then", [nothing, close])
def test_what_nobody_has_tried_to_send_is_tried_before_the_reactor_is_closed(then):
    reactor = Reactor()
    accepted = []
    server, peer = serve_one(reactor, accepted.append)
    with peer:
        server.add_event_listener("connect", lambda event: reactor.stop())
        reactor.run()
        received = 0
        while accepted[0].bytes_pending:
            received += len(peer.recv(262144))
            reactor.poll(0)
        while received < SIZE:
            received += len(peer.recv(262144))
        accepted[0].write(b"!")
        then(accepted[0])
        reactor.close()
        assert peer.recv(2) == b"!"
        assert peer.recv(1) == b""


@pytest.mark.parametrize("then", [nothing, close])
def test_stop_leaves_the_rest_to_a_later_run(then):
    reactor = Reactor()
    server, peer = serve_one(reactor, then)
    with peer:
        server.add_event_listener("connect", lambda event: (reactor.stop(), server.close()))
        reactor.run()
        if then is nothing:
            reactor.close()
            assert outcome(peer) == "reset"
        else:
            peers = run_in_thread(lambda: None)
            with peers:
                result = peers.submit(outcome, peer)
                reactor.run()
                assert result.result() == "whole"
            reactor.close()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_a_reactor_that_is_collected_resets_what_is_not_sent():
    reactor = Reactor()
    server, peer = serve_one(reactor, close)
    with peer:
        while not reactor.bytes_kept:
            reactor.poll(1)
        del reactor, server
        gc.collect()
        assert outcome(peer) == "reset"


@pytest.mark.parametrize("then", [nothing, close])
def test_stopping_a_thread_resets_what_is_not_sent(then):
    made = {}

    def setup():
        reactor = serversocket.ServerSocket().reactor
        made["server"], made["peer"] = serve_one(reactor, then)
        return reactor

    background = run_in_thread(setup)
    with made["peer"] as peer:
        while not background.call(lambda: background.result.bytes_kept):
            pass
        background.stop()
        assert outcome(peer) == "reset"


def test_what_is_sent_completely_ends_cleanly_even_after_it_had_to_wait():
    reactor = Reactor()
    server, peer = serve_one(reactor, close)
    with peer, run_in_thread(lambda: None) as peers:
        result = peers.submit(outcome, peer)
        server.add_event_listener("connect", lambda event: server.close())
        reactor.run()
        assert result.result() == "whole"
    reactor.close()


# ---- the end of the process

PROGRAM = """
import asyncio, os, signal, sys, threading, time
import serversocket
from serversocket import aio

MESSAGE = b"x" * {size}

def send(socket):
    socket.add_event_listener("close", print)
    socket.write(MESSAGE)

def serve(then, reactor=None):
    server = serversocket.ServerSocket(reactor=reactor)
    def connected(event):
        send(event.socket)
        then(event.socket)
    server.add_event_listener("connect", connected)
    server.bind(0, "127.0.0.1")
    server.listen()
    print(server.local_port, flush=True)
    return server

async def served(then):
    server = aio.listen(0, "127.0.0.1")
    print(server.local_port, flush=True)
    async with server:
        accepted = await server.accept()
        accepted.socket.high_water_mark = len(MESSAGE)
        await accepted.send(MESSAGE)
        assert accepted.socket.bytes_pending
        await then(accepted)

async def close(accepted):
    accepted.close()

async def send_eof(accepted):
    await accepted.send_eof()

async def cancelled(accepted):
    async def leave():
        async with accepted:
            await asyncio.sleep(3600)
    task = asyncio.create_task(leave())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

def in_trio(then):
    import trio
    trio.run(served, then)

def in_uvloop(then):
    import uvloop
    uvloop.run(served(then))

def in_thread(flush):
    serversocket.run_in_thread(serve, lambda socket: (flush and socket.flush(), ready.set()))

ready = threading.Event()
{ending}
"""

ENDINGS = {
    "sys.exit in a listener": "serve(lambda socket: sys.exit(0)); serversocket.run()",
    "the end of the program after stop": "serve(lambda socket: serversocket.stop()); serversocket.run()",
    "the end of the program after close and stop": (
        "serve(lambda socket: (socket.close(), serversocket.stop())); serversocket.run()"
    ),
    "an exception after the run": "serve(lambda socket: serversocket.stop()); serversocket.run(); sys.exit(0)",
    "written after the last turn": (
        "held = []; server = serve(lambda socket: (held.append(socket), serversocket.stop())); serversocket.run();"
        "held[0].write(b'more')"
    ),
    "os._exit": "serve(lambda socket: (socket.flush(), os._exit(0))); serversocket.run()",
    "SIGKILL": "serve(lambda socket: (socket.flush(), os.kill(os.getpid(), signal.SIGKILL))); serversocket.run()",
    "SIGTERM": "serve(lambda socket: (socket.flush(), os.kill(os.getpid(), signal.SIGTERM))); serversocket.run()",
    "a thread of run_in_thread": "in_thread(False); ready.wait()",
    "a thread of run_in_thread, flushed": "in_thread(True); ready.wait()",
    "asyncio, close": "asyncio.run(served(close))",
    "asyncio, send_eof": "asyncio.run(served(send_eof))",
    "asyncio, cancelled": "asyncio.run(served(cancelled))",
    "trio, close": "in_trio(close)",
    "trio, send_eof": "in_trio(send_eof)",
    "uvloop, close": "in_uvloop(close)",
    "uvloop, send_eof": "in_uvloop(send_eof)",
}


@on_posix
@pytest.mark.parametrize("ending", ENDINGS)
def test_however_the_process_ends_the_peer_gets_a_reset(ending):
    for library in ("trio", "uvloop"):
        if ending.startswith(library):
            pytest.importorskip(library)
    program = textwrap.dedent(PROGRAM).format(size=SIZE, ending=ENDINGS[ending])
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", program],
        stdout=subprocess.PIPE,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        port = int(process.stdout.readline())
        try:
            peer = client(port)
        except ConnectionResetError:
            status = process.wait(PATIENCE)  # it was quicker
        else:
            with peer:
                status = process.wait(PATIENCE)
                assert outcome(peer) == "reset"
    assert status in (0, -signal.SIGKILL, -signal.SIGTERM)

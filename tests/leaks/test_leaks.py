from __future__ import annotations

import pytest

import serversocket
from serversocket import ServerSocket, Socket

from ..behaviour.helpers import on_linux, open_descriptors, python

pytestmark = on_linux

ROUNDS = 2000


def test_nothing_leaks_after_thousands_of_failed_binds():
    with ServerSocket() as taken:
        taken.bind(0, "127.0.0.1")
        taken.listen()
        arguments = [
            (taken.local_port, "127.0.0.1"),
            (0, "192.0.2.1"),
            (0, "2001:db8::1"),
            (0, "fe80::1"),
            (70_000, "::1"),
            (0, "x"),
        ]
        reused = ServerSocket()
        before = open_descriptors()
        for number in range(ROUNDS):
            server = reused if number % 2 else ServerSocket()
            with pytest.raises((OSError, ValueError)):
                server.bind(*arguments[number % len(arguments)])
            assert not server.bound
        del server
        assert open_descriptors() == before


def test_nothing_leaks_after_thousands_of_failed_connects():
    it = Socket()
    told = []
    it.add_event_listener("ioError", lambda event: told.append(1))
    it.connect("127.0.0.1", 1)
    serversocket.run()
    before = open_descriptors()
    for _ in range(ROUNDS // 4):
        it.connect("127.0.0.1", 1)
        serversocket.run()
    assert len(told) == ROUNDS // 4 + 1
    assert open_descriptors() == before


def test_nothing_leaks_after_thousands_of_lives():
    server = ServerSocket()
    before = open_descriptors()
    for _ in range(ROUNDS):
        server.bind(0, "127.0.0.1")
        server.listen()
        server.close()
    assert len(open_descriptors() - before) <= 1  # the spare descriptor of the reactor


MEASURE = """
import gc, os, socket, struct, sys
import serversocket
from serversocket.loop.reactor import current_reactor
reactor = current_reactor()
server = serversocket.ServerSocket()
server.bind(0, "127.0.0.1")
server.listen()
def blocks(round, count):
    for _ in range(count):
        round()
    gc.collect()
    return sys.getallocatedblocks()
def slope(round, count):
    blocks(round, count)
    first = blocks(round, count)
    second = blocks(round, 2 * count)
    third = blocks(round, 4 * count)
    return (second - first) / (2 * count), (third - second) / (4 * count), len(os.listdir("/proc/self/fd"))
def check(round, count):
    result = slope(round, count)
    # One object a round would be a slope of 1 and more.
    assert min(result[0], result[1]) < 0.05, result
    more = slope(round, count // 4)
    assert more[2] == result[2], "descriptors: " + str((result, more))
"""

SCENARIOS = {
    "connection": """
gone = []
def accept(event):
    event.socket.add_event_listener("close", lambda event: gone.append(1))
server.add_event_listener("connect", accept)
def round():
    gone.clear()
    socket.create_connection(("127.0.0.1", server.local_port)).close()
    while not gone:
        reactor.poll(1)
check(round, 200)
""",
    "unheld connection": """
done = []
server.add_event_listener("connect", lambda event: done.append(1))
def round():
    done.clear()
    with socket.create_connection(("127.0.0.1", server.local_port)):
        while not done:
            reactor.poll(1)
check(round, 200)
""",
    "reset connection": """
gone = []
def accept(event):
    event.socket.add_event_listener("ioError", lambda event: None)
    event.socket.add_event_listener("close", lambda event: gone.append(1))
    event.socket.write(b"x" * 100)
server.add_event_listener("connect", accept)
def round():
    gone.clear()
    client = socket.create_connection(("127.0.0.1", server.local_port))
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()
    while not gone:
        reactor.poll(1)
check(round, 200)
""",
    "connection with unread input and unsent output": """
accepted = []
def accept(event):
    event.socket.add_event_listener("close", print)
    event.socket.write(b"x" * 3_000_000)
    event.socket.flush()
    accepted.append(event.socket)
server.add_event_listener("connect", accept)
def round():
    client = socket.create_connection(("127.0.0.1", server.local_port))
    client.sendall(b"unread" * 100)
    while not accepted or not accepted[0].bytes_available:
        reactor.poll(1)
    accepted.pop().abort()
    client.close()
check(round, 50)
""",
    "message": """
received = bytearray()
def accept(event):
    event.socket.add_event_listener("socketData", lambda event: event.target.write(event.target.read()))
server.add_event_listener("connect", accept)
client = socket.create_connection(("127.0.0.1", server.local_port))
client.setblocking(False)
def round():
    client.send(b"hello")
    while True:
        reactor.poll(1)
        try:
            assert client.recv(100) == b"hello"
            return
        except BlockingIOError:
            pass
check(round, 2000)
""",
    "message into memory of the program's": """
buffer, other = bytearray(100), bytearray(3)
sockets = []
def receive(event):
    it = event.target
    views = it.view(), it.view(5)
    it.skip(1)
    it.readinto(memoryview(buffer)[1:4])
    it.readinto(memoryview(buffer)[7:9])
    it.readinto(other)
def accept(event):
    event.socket.read_buffer = buffer
    event.socket.add_event_listener("socketData", receive)
    sockets.append(event.socket)
server.add_event_listener("connect", accept)
client = socket.create_connection(("127.0.0.1", server.local_port))
while not sockets:
    reactor.poll(1)
it = sockets[0]
def round():
    for _ in range(2):
        client.send(b"x" * 50)
        reactor.poll(1)
    it.view()
    it.read()
    buffer.append(0)
    buffer.pop()
    it.read_buffer = None
    it.read_buffer = buffer
    for value in (b"", bytearray(), 5):
        try:
            it.read_buffer = value
        except (TypeError, ValueError):
            pass
check(round, 1000)
""",
    "message of each kind": """
sockets = []
def accept(event):
    event.socket.add_event_listener("outputProgress", lambda event: None)
    event.socket.add_event_listener("socketData", lambda event: None)
    sockets.append(event.socket)
server.add_event_listener("connect", accept)
client = socket.create_connection(("127.0.0.1", server.local_port))
while not sockets:
    reactor.poll(1)
it = sockets[0]
def round():
    client.send(b"\\0\\5hello" + bytes(29) + b"rest of it")
    while it.bytes_available < 46:
        reactor.poll(1)
    it.peek(), it.read_utf(), it.read_int(), it.read_double(), it.read_boolean(), it.read_float(), it.read_short()
    it.skip(2), it.view(4)
    it.readinto(bytearray(10))
    it.write(it.read())
    it.write(bytearray(b"abc"))
    it.write_utf("hello")
    it.write_int(5)
    it.write(b"x" * 5000)
    it.write(b"y")
    it.flush()
    reactor.poll(0)
    for call in (it.read_int, it.read_utf):
        try:
            call()
        except EOFError:
            pass
    while client.recv(10000)[-1:] != b"y":
        pass
check(round, 500)
""",
    "dispatch": """
dispatcher = serversocket.EventDispatcher()
def round():
    dispatcher.add_event_listener("x", lambda event: None, priority=1)
    dispatcher.add_event_listener("x", round, use_weak_reference=True, priority=-1, use_capture=True)
    event = serversocket.ProgressEvent("x")
    dispatcher.dispatch_event(event)
    dispatcher.dispatch_event(event)
    str(event)
    try:
        dispatcher.dispatch_event(None)
    except TypeError:
        pass
    temporary = serversocket.EventDispatcher()
    temporary.add_event_listener("x", temporary.dispatch_event)
def limited():
    global dispatcher
    dispatcher = serversocket.EventDispatcher()
    round()
check(limited, 2000)
""",
    "failed calls": """
it = serversocket.Socket()
other = serversocket.ServerSocket()
def round():
    for call in (
        it.read, it.flush, it.close, it.read_int, lambda: it.write(b"x"),
        lambda: it.connect("a b", 80), lambda: it.connect("::1", -1),
        lambda: other.bind(server.local_port, "127.0.0.1"), lambda: other.bind(-1), lambda: other.bind(0, "x"),
        other.listen, other.close,
        lambda: server.listen(-1), lambda: server.bind(0), lambda: reactor.poll(-1), lambda: reactor.poll("x"),
    ):
        try:
            call()
        except (OSError, ValueError, TypeError):
            continue
        raise SystemExit("a call that should fail does not")
check(round, 500)
""",
    "client": """
server.add_event_listener("connect", lambda event: event.socket.close())
gone = []
def round():
    gone.clear()
    it = serversocket.Socket("127.0.0.1", server.local_port)
    it.add_event_listener("close", lambda event: gone.append(1))
    while not gone:
        reactor.poll(1)
check(round, 200)
""",
    "cancelled connect": """
def round():
    it = serversocket.Socket("127.0.0.1", server.local_port)
    it.close()
    it.connect("127.0.0.1", server.local_port)
    it.close()
    reactor.poll(0)
server.add_event_listener("connect", lambda event: event.socket.close())
check(round, 200)
""",
    "reactor": """
def round():
    other = serversocket.Reactor()
    other.call_later(1000, print)
    other.call_soon_threadsafe(print)
    with_server = serversocket.ServerSocket(reactor=other)
    with_server.add_event_listener("connect", print)
    with_server.bind(0, "127.0.0.1")
    with_server.listen()

    other.close()
check(round, 100)
""",
    "timer and call": """
def round():
    reactor.call_later(0, int)
    reactor.call_later(1000, int).cancel()
    reactor.call_soon_threadsafe(int)
    reactor.poll(0)
    reactor.poll(0)
check(round, 1000)
""",
    "listener that raises": """
reactor.add_event_listener("uncaughtError", lambda event: None)
class Mistake(Exception):
    pass
def fail(event):
    raise Mistake
dispatcher = serversocket.ServerSocket()
dispatcher.add_event_listener("x", fail)
def round():
    dispatcher.dispatch_event(serversocket.Event("x"))
check(round, 1000)
""",
    "server": """
def round():
    other = serversocket.ServerSocket()
    other.add_event_listener("connect", lambda event: other)
    other.bind(0, "127.0.0.1")
    other.listen()
    reactor.poll(0)
    other.close()
check(round, 200)
""",
}


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_memory_does_not_grow_with(scenario):
    python(MEASURE + SCENARIOS[scenario] + "\nserver.close()\nos._exit(0)\n")

from __future__ import annotations

import os

import pytest

from .helpers import on_posix, python

pytestmark = [on_posix, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]

PROLOGUE = """
import contextlib, os, socket, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of fork itself
import serversocket
from serversocket.loop.reactor import current_reactor
logs, data = [], bytearray()
server = serversocket.ServerSocket()
server.bind(0, "127.0.0.1")
server.listen()
def accept(event):
    logs.append(event.socket)
    event.socket.add_event_listener("socketData", lambda event: data.extend(event.target.read()))
server.add_event_listener("connect", accept)
reactor = server.reactor
client = socket.create_connection(("127.0.0.1", server.local_port))
while not logs:
    reactor.poll(1)
accepted = logs[0]
def check(child):
    status = os.waitpid(child, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 0, status
def still_works():
    client.sendall(b"to the parent")
    while data != b"to the parent":
        reactor.poll(1)
    with socket.create_connection(("127.0.0.1", server.local_port)):
        while len(logs) < 2:
            reactor.poll(1)
    accepted.write(b"reply")
    accepted.flush()
    assert client.recv(100) == b"reply"
    for it in logs:
        with contextlib.suppress(OSError):
            it.close()
    server.close()
    client.close()
@contextlib.contextmanager
def child_of(pid):
    try:
        yield
    except BaseException:
        import traceback
        traceback.print_exc()
        os._exit(1)
    os._exit(0)
"""


@pytest.mark.parametrize("hosted", [False, True])
def test_closing_everything_in_the_child_leaves_the_parent_alone(hosted):
    python(
        PROLOGUE
        + ("reactor.fileno()\n" if hosted else "")
        + """
child = os.fork()
if not child:
    with child_of(child):
        accepted.close()
        server.close()
        reactor.close()
check(child)
still_works()
"""
    )


def test_everything_else_is_refused_in_the_child():
    python(
        PROLOGUE
        + """
child = os.fork()
if not child:
    with child_of(child):
        calls = [
            lambda: reactor.poll(0), lambda: reactor.run(), lambda: reactor.fileno(), lambda: accepted.read(),
            lambda: accepted.write(b"x"), lambda: accepted.flush(), lambda: server.listen(), lambda: accepted.fileno(),
            lambda: server.bind(0, "127.0.0.1"), lambda: accepted.connect("127.0.0.1", 9),
            lambda: reactor.call_later(0, print), lambda: reactor.call_soon_threadsafe(print),
            lambda: serversocket.ServerSocket(reactor=reactor),
        ]
        for index, call in enumerate(calls):
            try:
                call()
            except (RuntimeError, OSError):
                continue
            raise SystemExit(f"call {index} was not refused")
check(child)
still_works()
"""
    )


def test_the_child_has_a_reactor_of_its_own_and_serves():
    python(
        PROLOGUE
        + """
child = os.fork()
if not child:
    with child_of(child):
        assert current_reactor() is not reactor
        own = serversocket.ServerSocket()
        own.bind(0, "127.0.0.1")
        own.listen()
        served = []
        def greet(event):
            served.append(event)
            event.socket.write(b"from the child")
            event.socket.close()
            own.close()
        own.add_event_listener("connect", greet)
        other = socket.create_connection(("127.0.0.1", own.local_port))
        serversocket.run()
        assert other.recv(100) == b"from the child"
check(child)
still_works()
"""
    )


def test_forking_in_a_listener():
    python(
        PROLOGUE
        + """
children = []
def fork(event):
    accepted.remove_event_listener("socketData", fork)
    child = os.fork()
    if not child:
        with child_of(child):
            accepted.close()
            server.close()
    children.append(child)
accepted.add_event_listener("socketData", fork)
client.sendall(b"x")
while not children:
    reactor.poll(1)
check(children[0])
data.clear()
still_works()
"""
    )


def test_child_that_only_ends_leaves_the_parent_alone():
    python(
        PROLOGUE
        + """
child = os.fork()
if not child:
    client.close()
    sys.exit(0)
check(child)
still_works()
"""
    )


def test_child_lets_go_of_the_connections():
    python(
        PROLOGUE
        + """
ready, told = os.pipe()
done, over = os.pipe()
child = os.fork()
if not child:
    with child_of(child):
        os.close(over)
        client.close()
        os.write(told, b"x")
        os.read(done, 1)
os.read(ready, 1)
accepted.close()
# The child does not keep the connection open: the end comes through.
client.settimeout(60)
assert client.recv(1) == b""
os.close(over)
check(child)
client.close()
server.close()
"""
    )


def test_a_child_that_is_forked_while_others_wait_to_be_told_tells_nobody():
    python(
        PROLOGUE
        + """
second = socket.create_connection(("127.0.0.1", server.local_port))
while len(logs) < 2:
    reactor.poll(1)
told, children = [], []
def progressed(event):
    told.append(event.target)
    if len(told) == 1:
        children.append(os.fork())
for it in logs:
    it.add_event_listener("outputProgress", progressed)
    it.write(b"something")
    it.flush()
reactor.poll(0)
if not children[0]:
    with child_of(0):
        assert told == logs[:1], told
check(children[0])
assert told == logs
for it in (*logs, server, client, second):
    it.close()
"""
    )


def test_a_child_that_is_forked_while_a_connect_waits_to_be_told_tells_nobody():
    python(
        PROLOGUE
        + """
children = []
def progressed(event):
    child = os.fork()
    if child:
        children.append(child)
accepted.add_event_listener("outputProgress", progressed)
accepted.write(b"x")
accepted.flush()
failing = serversocket.Socket()
failing.add_event_listener("ioError", lambda event: data.extend(b"to the parent"))
failing.connect("255.255.255.255", 9)  # fails at once
for _ in range(3):
    try:
        reactor.poll(0)
    except RuntimeError as error:
        assert not children and "parent" in str(error), error
        os._exit(0 if not data else 1)
check(children[0])
assert data == b"to the parent", data
data.clear()
assert client.recv(1) == b"x"
accepted.remove_event_listener("outputProgress", progressed)
still_works()
"""
    )

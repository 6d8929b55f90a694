"""Finalizers that the garbage collector runs come in the middle of a call, as signals do, and flush or close."""

from __future__ import annotations

import pytest

from ..behaviour.helpers import python

# Where the collector runs inside of allocations (before CPython 3.12), `at_the_next_allocation` has it run in the
# engine's; else it runs soon afterwards. Lists that Python keeps for later use are used up, so that a new one is one.
PROLOGUE = """
import gc, socket, sys
import serversocket
held = []
server = serversocket.ServerSocket()
server.bind(0, "127.0.0.1")
server.listen()
server.add_event_listener("connect", lambda event: held.append(event.socket))
reactor = server.reactor
client = socket.create_connection(("127.0.0.1", server.local_port), timeout=60)
while not held:
    reactor.poll(1)
it = held[0]
class Last:
    def __init__(self, action):
        self.action = action
        self.itself = self
    def __del__(self):
        if it.connected:
            self.action()
        ran.append(it.connected)
ran = []
def at_the_next_allocation(action):
    global kept
    gc.collect()
    kept = [[] for _ in range(500)]
    gc.disable()
    Last(action)
    gc.set_threshold(1)
    gc.enable()
def everything(more=None):
    gc.disable()
    gc.collect()
    assert ran
    reactor.poll(0)
    server.close()
    it.close() if it.connected else None
    received = bytearray()
    client.setblocking(False)
    while True:
        reactor.poll(0.01)
        try:
            chunk = client.recv(1 << 20)
        except BlockingIOError:
            continue
        except ConnectionResetError:
            return received
        if not chunk:
            return received
        received += chunk
"""


BLOCKED = """
it.write(bytes(20_000_000))
it.flush()
"""
closing = pytest.mark.parametrize("closing", ["it.close()", "client.shutdown(socket.SHUT_WR); reactor.poll(1)"])


@pytest.mark.parametrize("size", [100, 5000])
@pytest.mark.parametrize("action", ["it.flush", "lambda: it.write(bytes(5000))", "it.close"])
def test_a_write_that_others_come_into_the_middle_of(action, size):
    python(
        PROLOGUE
        + f"""
it.write(b"a" * 5000)
piece = b"b" * {size}
at_the_next_allocation({action})
try:
    it.write(piece)
except serversocket.IOError as error:
    assert not it.connected and "write" in str(error), error
    piece = b""
received = everything()
assert received.replace(bytes(5000), b"") == b"a" * 5000 + piece, len(received)
assert reactor.bytes_kept == 0, reactor.bytes_kept
client.close()
"""
    )


@closing
def test_a_close_that_others_come_into_the_middle_of(closing):
    """Output is pending, and somebody has to be made who sends it: making him has the connection closed meanwhile."""
    python(
        PROLOGUE
        + BLOCKED
        + f"""
at_the_next_allocation(it.close)
try:
    {closing}
except serversocket.IOError:
    assert ran
assert len(everything()) == 20_000_000
client.close()
"""
    )


@closing
def test_a_reactor_that_is_closed_in_the_middle_of_a_close(closing):
    python(
        PROLOGUE
        + BLOCKED
        + f"""
def profile(frame, what, argument):  # as a signal's handler might
    if what == "return" and frame.f_code.co_name == "call_later":
        sys.setprofile(None)
        try:
            reactor.close()
        except RuntimeError as error:
            assert "is running" in str(error), error
        ran.append(reactor.closed)
sys.setprofile(profile)
{closing}
sys.setprofile(None)
assert ran == [{closing.startswith("it")}], ran
assert not it.connected
reactor.close()
received = 0
try:
    while chunk := client.recv(1 << 20):
        received += len(chunk)
except ConnectionResetError:
    pass
assert received < 20_000_000
client.close()
"""
    )

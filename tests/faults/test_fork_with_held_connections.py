from __future__ import annotations

import os

import pytest

from ..behaviour.helpers import on_posix, python

pytestmark = [on_posix, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")]

PROLOGUE = """
import gc, os, socket, sys, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of fork itself
import serversocket
from serversocket.loop.reactor import current_reactor
accepted = 0
def accept(event):
    global accepted
    accepted += 1
    event.socket.add_event_listener("socketData", lambda event: event.target.write(event.target.read()))
server = serversocket.ServerSocket()
server.bind(0, "127.0.0.1")
server.listen()
server.add_event_listener("connect", accept)
reactor = server.reactor
clients = [socket.create_connection(("127.0.0.1", server.local_port), timeout=60) for _ in range(3)]
while accepted < 3:
    reactor.poll(1)
gc.collect()
def check(child):
    status = os.waitpid(child, 0)[1]
    assert os.waitstatus_to_exitcode(status) == 0, status
def is_served(client):
    client.setblocking(False)
    client.sendall(b"to the parent")
    received = b""
    while received != b"to the parent":
        reactor.poll(1)
        try:
            received += client.recv(100)
        except BlockingIOError:
            pass
def end():
    for client in clients:
        is_served(client)
        client.close()
    server.close()
    reactor.run()
"""


@pytest.mark.parametrize("hosted", [False, True])
@pytest.mark.parametrize(
    "what",
    [
        pytest.param("os._exit(0)", id="ends at once"),
        pytest.param("[client.close() for client in clients]; sys.exit(0)", id="ends in the ordinary way"),
        pytest.param("del server, reactor; gc.collect(); os._exit(0)", id="forgets everything"),
        pytest.param("server.close(); reactor.close(); gc.collect(); os._exit(0)", id="closes everything"),
    ],
)
def test_child_of_a_server_whose_connections_only_the_reactor_holds(what, hosted):
    python(
        PROLOGUE
        + ("reactor.fileno()\n" if hosted else "")
        + f"""
child = os.fork()
if not child:
    {what}
check(child)
end()
"""
    )


def test_child_forked_by_a_listener_of_such_a_connection():
    python(
        PROLOGUE
        + """
def fork(event):
    child = os.fork()
    if not child:
        gc.collect()
        os._exit(event.socket.connected)
    check(child)
    event.socket.add_event_listener("socketData", lambda event: event.target.write(event.target.read()))
server.remove_event_listener("connect", accept)
server.add_event_listener("connect", fork)
clients.append(socket.create_connection(("127.0.0.1", server.local_port), timeout=60))
is_served(clients[-1])
end()
"""
    )


def test_run_of_the_child_does_not_wait_for_what_the_parent_has():
    python(
        PROLOGUE
        + """
it = serversocket.Socket()
it.connect("127.0.0.1", server.local_port)
timer = reactor.call_later(1e6, print)
child = os.fork()
if not child:
    current_reactor().run()
    os._exit(0)
check(child)
it.close()
timer.cancel()
end()
"""
    )

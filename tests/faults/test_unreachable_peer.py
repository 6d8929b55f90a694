"""The way to a connected peer is lost for a while, in a network namespace of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ..behaviour.helpers import on_linux
from .test_syn_flood import SET_UP, namespaces_work

pytestmark = on_linux

PROGRAM = """
import socket, subprocess
import serversocket
from serversocket.loop.reactor import current_reactor
reactor = current_reactor()
def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True)
def until(predicate):
    for _ in range(1000):
        if predicate():
            return
        reactor.poll(0.02)
    raise AssertionError("it does not happen")
ip("addr", "add", "10.77.0.2/32", "dev", "lo")
accepted, told = [], []
def accept(event):
    event.socket.add_event_listener("ioError", lambda event: told.append(event.errno))
    event.socket.add_event_listener("close", lambda event: told.append("close"))
    accepted.append(event.socket)
server = serversocket.ServerSocket()
server.add_event_listener("connect", accept)
server.bind(0, "10.77.0.1")
server.listen()
with socket.create_connection(("10.77.0.1", server.local_port), 10, ("10.77.0.2", 0)) as client:
    until(lambda: accepted)
    ip("addr", "del", "10.77.0.2/32", "dev", "lo")
    ip("route", "add", "unreachable", "10.77.0.2")
    with socket.socket() as other:
        try:
            other.connect(("10.77.0.2", 9))
        except OSError:
            pass
        else:
            raise AssertionError("it can be reached")
    accepted[0].write(b"hello")
    accepted[0].flush()
    for _ in range(20):
        reactor.poll(0.02)
    client.setblocking(False)
    try:
        raise AssertionError(f"it arrived: {client.recv(5)}")
    except BlockingIOError:
        pass
    assert told == [] and accepted[0].connected, told
    ip("route", "del", "unreachable", "10.77.0.2")
    ip("addr", "add", "10.77.0.2/32", "dev", "lo")
    client.settimeout(60)
    assert client.recv(5) == b"hello"
    assert told == [] and accepted[0].connected, told
accepted.pop().close()
server.close()
"""


def test_what_was_sent_meanwhile_arrives_when_there_is_a_way_again():
    if not namespaces_work():
        pytest.skip("needs a network namespace of its own")
    command = ["unshare", "-n", "sh", "-c", SET_UP, "sh", "1", sys.executable, "-X", "dev", "-c", PROGRAM]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr

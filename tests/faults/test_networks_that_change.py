"""Networks of their own: without IPv6, with what comes and goes, with a system that ends sockets or resets clients."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys

import pytest

from ..behaviour.helpers import on_linux

pytestmark = on_linux

ALONE = ["unshare", "--net"]


@functools.cache
def namespaces_work() -> bool:
    tools = shutil.which("unshare") and shutil.which("ip")
    return (
        bool(tools) and subprocess.run([*ALONE, "ip", "link", "set", "lo", "up"], capture_output=True).returncode == 0
    )


@pytest.fixture(autouse=True)
def _namespaces():
    if not namespaces_work():
        pytest.skip("needs ip, and unshare that may make a network namespace")


PROLOGUE = """
import errno, os, socket, subprocess, sys, time
import serversocket
def system(*command):
    subprocess.run(command, check=True, capture_output=True)
def until(predicate):
    end = time.monotonic() + 60
    while not predicate():
        assert time.monotonic() < end, "in vain"
        reactor.poll(0.05)
def quiet():
    used = time.process_time()
    for _ in range(3):
        reactor.poll(0.1)
    return time.process_time() - used < 0.15
def note(it, *types):
    events = []
    for type in types:
        it.add_event_listener(type, events.append)
    return events
system("ip", "link", "set", "lo", "up")
server = serversocket.ServerSocket()
reactor = server.reactor
accepted = []
server.add_event_listener("connect", lambda event: accepted.append(event.socket))
def connect(host):
    client = socket.create_connection((host, server.local_port), timeout=60)
    before = len(accepted)
    until(lambda: len(accepted) > before)
    return client
"""
EPILOGUE = """
for it in accepted:
    with it:
        pass
if server.bound:
    server.close()
"""


CANNOT = 77  # the exit status of a program whose system lacks what it is about


def alone(program: str) -> None:
    """Runs a program in a network of its own; nothing that it does there is seen outside."""
    result = subprocess.run(
        [*ALONE, sys.executable, "-X", "dev", "-c", PROLOGUE + program + EPILOGUE],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONFAULTHANDLER": "1"},
    )
    if result.returncode == CANNOT:
        pytest.skip(result.stdout.strip())
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr


def test_without_ipv6_its_addresses_are_refused_and_ipv4_works():
    alone(
        """
for name in ("all", "default", "lo"):
    with open(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6", "w") as setting:
        setting.write("1")
try:
    server.bind(0, "::1")
except serversocket.IOError as error:
    assert error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT), error
    assert "::1" in str(error), error
else:
    raise AssertionError("bound")
assert not server.bound
it = serversocket.Socket("::1", 9)
events = note(it, "ioError")
until(lambda: events)
assert events[0].errno in (errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.EAFNOSUPPORT), events[0]
server.bind(0, "127.0.0.1")
server.listen()
connect("127.0.0.1").close()
"""
    )


def test_an_address_that_goes_and_comes_back():
    alone(
        """
system("ip", "address", "add", "192.0.2.7/32", "dev", "lo")
server.bind(0, "192.0.2.7")
server.listen()
events = note(server, "close", "ioError")
client = connect("192.0.2.7")
it = accepted[0]
it.user_timeout = 1
broken = note(it, "ioError", "close")
system("ip", "address", "delete", "192.0.2.7/32", "dev", "lo")
assert quiet()
assert server.listening and not events and not broken, (events, broken)
other = serversocket.ServerSocket()
try:
    other.bind(0, "192.0.2.7")
except serversocket.IOError as error:
    assert error.errno == errno.EADDRNOTAVAIL
else:
    raise AssertionError("bound")
# What is sent now reaches nobody; only a limit for that ends the connection.
it.write(b"into the void")
until(lambda: len(broken) == 2)
assert [event.type for event in broken] == ["ioError", "close"]
assert broken[0].errno in (errno.ETIMEDOUT, errno.ENETUNREACH, errno.EHOSTUNREACH), broken[0]
client.close()
system("ip", "address", "add", "192.0.2.7/32", "dev", "lo")
connect("192.0.2.7").close()
assert not events
"""
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "0.0.0.0", "::ffff:127.0.0.1"])
def test_a_client_that_meets_itself_is_refused(host):
    """Where its port is the only one left for clients and no server listens there, the system connects it to itself."""
    alone(
        f"""
with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as setting:
    setting.write("40000 40000")
for _ in range(3):
    it = serversocket.Socket()
    events = note(it, "connect", "ioError", "close")
    it.connect("{host}", 40000)
    until(lambda: events)
    reactor.poll(0)
    assert [event.type for event in events] == ["ioError"], events
    assert events[0].errno == errno.ECONNREFUSED, events
    assert not it.connected
# Nothing of it is left: a server can listen on the port, and a client with another port connects to it.
with socket.socket() as listener:
    listener.bind(("127.0.0.1", 40000))
    listener.listen()
    with open("/proc/sys/net/ipv4/ip_local_port_range", "w") as setting:
        setting.write("40000 40001")
    it = serversocket.Socket("127.0.0.1", 40000)
    until(lambda: it.connected)
    it.close()
"""
    )


@pytest.mark.parametrize("name", ["keep_alive", "user_timeout"])
def test_an_interface_that_goes_down_ends_the_connections_that_want_it(name):
    """`user_timeout` sees that what was sent stays unanswered, `keep_alive` asks where nothing is sent."""
    alone(
        f"""
server.bind(0, "127.0.0.1")
server.listen()
patient, impatient = connect("127.0.0.1"), connect("127.0.0.1")
told = [note(it, "ioError", "close") for it in accepted]
accepted[1].{name} = 1
events = note(server, "close", "ioError")
system("ip", "link", "set", "lo", "down")
assert quiet()
assert not told[0] and not told[1] and not events, (told, events)
if "{name}" == "user_timeout":
    for it in accepted:
        it.write(b"into the void")
until(lambda: len(told[1]) == 2)
assert [event.type for event in told[1]] == ["ioError", "close"]
assert told[1][0].errno in (errno.ETIMEDOUT, errno.ENETUNREACH, errno.EHOSTUNREACH), told[1][0]
assert not told[0] and accepted[0].connected, "nobody has asked the system to notice"
assert server.listening and not events
system("ip", "link", "set", "lo", "up")
connect("127.0.0.1").close()
patient.close()
impatient.close()
"""
    )


@pytest.mark.parametrize("name", ["keep_alive", "user_timeout"])
def test_a_link_and_a_namespace_that_disappear_and_come_back(name):
    alone(
        f"""
def neighbour():
    # A namespace with a link to this one; what is in it connects.
    it = subprocess.Popen(["unshare", "--net", sys.executable, "-c", CLIENT], stdin=subprocess.PIPE)
    try:
        until(lambda: os.readlink(f"/proc/{{it.pid}}/ns/net") != os.readlink("/proc/self/ns/net"))
        system("ip", "link", "add", "v0", "type", "veth", "peer", "name", "v1", "netns", str(it.pid))
        system("ip", "address", "add", "192.0.2.1/24", "dev", "v0")
        system("ip", "link", "set", "v0", "up")
        if not server.bound:
            server.bind(0, "192.0.2.1")
            server.listen()
        count = len(accepted)
        it.stdin.write(b"%d\\n" % server.local_port)
        it.stdin.flush()
        until(lambda: len(accepted) > count)
    except BaseException:
        it.kill()
        raise
    return it
CLIENT = '''
import socket, subprocess, sys
port = int(sys.stdin.readline())
subprocess.run(["ip", "address", "add", "192.0.2.2/24", "dev", "v1"], check=True)
subprocess.run(["ip", "link", "set", "v1", "up"], check=True)
held = socket.create_connection(("192.0.2.1", port), timeout=60)
sys.stdin.readline()
'''
first = neighbour()
it, = accepted
it.{name} = 1
told, events = note(it, "ioError", "close"), note(server, "close", "ioError")
system("ip", "link", "delete", "v0")
first.kill()
first.communicate()
assert quiet()
assert it.connected and server.listening and not told and not events, (told, events)
if "{name}" == "user_timeout":
    it.write(b"into the void")
until(lambda: len(told) == 2)
assert [event.type for event in told] == ["ioError", "close"]
assert told[0].errno in (errno.ETIMEDOUT, errno.ENETUNREACH, errno.EHOSTUNREACH), told[0]
second = neighbour()
assert accepted[1].remote_address == "192.0.2.2"
second.communicate()
until(lambda: not accepted[1].connected)
assert not events
"""
    )


def test_the_system_ends_a_listening_socket_and_a_connection():
    if shutil.which("ss") is None:
        pytest.skip("needs ss")
    alone(
        """
server.bind(0, "127.0.0.1")
server.listen()
port = server.local_port
client = connect("127.0.0.1")
it = accepted[0]
broken = note(it, "ioError", "close")
closed = note(server, "close", "ioError")
probe = socket.create_connection(("127.0.0.1", port))
def destroy(remote):
    system("ss", "-K", "-t", "state", "established", "sport", "=", f":{port}", "dport", "=", f":{remote}")
system("ss", "-K", "-t", "dport", "=", f":{port}", "sport", "=", f":{probe.getsockname()[1]}")
probe.setblocking(False)
try:
    probe.send(b"x")
except ConnectionAbortedError:
    pass
else:
    print("a system without SOCK_DESTROY")
    sys.exit(77)
probe.close()
destroy(client.getsockname()[1])
until(lambda: len(broken) == 2)
assert [event.type for event in broken] == ["ioError", "close"], broken
assert broken[0].errno == errno.ECONNABORTED, broken[0]
assert not closed and server.listening
system("ss", "-K", "-l", "-t", "sport", "=", f":{port}")
until(lambda: closed)
assert quiet()
assert [event.type for event in closed] == ["close"], closed
assert not server.bound and not server.listening
server.bind(port, "127.0.0.1")
server.listen()
connect("127.0.0.1").close()
client.close()
"""
    )


@pytest.mark.parametrize("resets", [0, 1], ids=["clients wait", "clients may be reset"])
def test_more_clients_than_the_backlog_holds(resets):
    """The system has them try again, or may reset those that come too late; who is let in is served in turn."""
    alone(
        f"""
with open("/proc/sys/net/ipv4/tcp_abort_on_overflow", "w") as setting:
    setting.write("{resets}")
def serve(event):
    event.socket.add_event_listener("socketData", lambda event: event.target.write(event.target.read()))
server.add_event_listener("connect", serve)
server.bind(0, "127.0.0.1")
server.listen(4)
first = connect("127.0.0.1")
clients = []
for number in range(12):
    client = socket.socket()
    client.setblocking(False)
    client.connect_ex(("127.0.0.1", server.local_port))
    clients.append(client)
outcomes, spoken = {{}}, set()
def over(number, client):
    # Who believes to be connected, and is not, has to speak: the system waits for that.
    try:
        if number not in spoken:
            client.send(b"x")
            spoken.add(number)
        outcomes[number] = client.recv(2).decode()
    except BlockingIOError:
        return False
    except OSError as error:
        outcomes[number] = errno.errorcode[error.errno]
    return True
def all_over():
    return sum(number in outcomes or over(number, client) for number, client in enumerate(clients)) == len(clients)
until(all_over)
first.sendall(b"still here")
first.setblocking(False)
def hears(client):
    try:
        return client.recv(20)
    except BlockingIOError:
        return b""
until(lambda: hears(first) == b"still here")
turned_away = [outcome for outcome in outcomes.values() if outcome != "x"]
assert set(turned_away) <= {{"ECONNRESET", "ECONNREFUSED"}}, outcomes
assert not turned_away or {resets}, outcomes
served = [number for number, outcome in sorted(outcomes.items()) if outcome == "x"]
ports = [clients[number].getsockname()[1] for number in served]
assert sorted(it.remote_port for it in accepted[1:]) == sorted(ports)
assert [it.remote_port for it in accepted[1:6]] == ports[:5], "who came first is served first"
with open("/proc/net/netstat") as file:
    names, values = [line.split() for line in file if line.startswith("TcpExt")]
assert int(values[names.index("ListenOverflows")]) > 0, "the backlog was never full"
assert accepted[0].connected and server.listening
for client in (first, *clients):
    client.close()
"""
    )

"""A flood of clients that never finish their handshake, in a network namespace of its own."""

from __future__ import annotations

import functools
import shutil
import subprocess
import sys

import pytest

from ..behaviour.helpers import on_linux

pytestmark = on_linux

# The answers go to addresses that nobody has: no handshake is finished, and none is refused.
SET_UP = """
set -e
ip link set lo up
ip addr add 10.77.0.1/32 dev lo
ip route add 10.88.0.0/16 dev lo
echo "$1" > /proc/sys/net/ipv4/tcp_syncookies
shift
exec "$@"
"""

PROGRAM = """
import socket, struct
import serversocket
from serversocket.loop.reactor import current_reactor
reactor = current_reactor()
def checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff
def syn(number, port):
    source, target = bytes([10, 88, number >> 8, number & 255]), bytes([10, 77, 0, 1])
    tcp = struct.pack("!HHIIBBHHH", 1024 + number, port, number, 0, 5 << 4, 2, 8192, 0, 0)
    sum = checksum(source + target + struct.pack("!HH", 6, len(tcp)) + tcp)
    tcp = tcp[:16] + struct.pack("!H", sum) + tcp[18:]
    return struct.pack("!BBHHHBBH4s4s", 0x45, 0, 40, number, 0, 64, 6, 0, source, target) + tcp
def until(predicate):
    for _ in range(500):
        if predicate():
            return
        reactor.poll(0.02)
    raise AssertionError("it does not happen")
accepted, data = [], bytearray()
def accept(event):
    event.socket.add_event_listener("socketData", lambda event: data.extend(event.target.read()))
    accepted.append(event.socket)
server = serversocket.ServerSocket()
server.add_event_listener("connect", accept)
server.bind(0, "10.77.0.1")
server.listen(16)
with socket.create_connection(("10.77.0.1", server.local_port), timeout=60) as client:
    until(lambda: accepted)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
        for number in range(500):
            raw.sendto(syn(number, server.local_port), ("10.77.0.1", 0))
            reactor.poll(0)
    with open("/proc/net/tcp") as table:
        waiting = sum(line.split()[3] == "03" for line in table)
    assert waiting, "no handshake was left unfinished"
    client.sendall(b"hello")
    until(lambda: data == b"hello")
    assert len(accepted) == 1
accepted.pop().close()
server.close()
"""


@functools.cache
def namespaces_work() -> bool:
    """Whether a network namespace may be made and set up."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        return False
    return subprocess.run(["unshare", "-n", "sh", "-c", SET_UP, "sh", "1", "true"], capture_output=True).returncode == 0


@pytest.mark.parametrize("cookies", [0, 1], ids=["without cookies", "with cookies"])
def test_open_connections_are_unharmed(cookies):
    if not namespaces_work():
        pytest.skip("needs a network namespace of its own")
    command = ["unshare", "-n", "sh", "-c", SET_UP, "sh", str(cookies), sys.executable, "-X", "dev", "-c", PROGRAM]
    result = subprocess.run(command, capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, ""), result.stdout + result.stderr

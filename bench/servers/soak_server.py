"""The server under test: echoes, or does what a client's first byte asks for, and says in what state it is.

First bytes: ``e`` echo until the client is done; ``c`` echo what has come, then close; ``a`` the same, then abort;
``p`` echo, and be paused for a moment after each arrival.
"""

import collections
import ctypes
import gc
import json
import os
import re
import sys
from functools import partial

from common import announce

import serversocket

libc = ctypes.CDLL(None)
MARK = 65536
PAUSE = 0.005  # seconds


class Clients:
    """Serves them, and counts how their connections ended."""

    def __init__(self):
        self.ended = collections.Counter()

    def accept(self, event):
        client = event.socket
        client.high_water_mark = MARK
        client.add_event_listener("socketData", self.first)
        client.add_event_listener("close", self.closed)
        client.add_event_listener("ioError", self.broke)

    def first(self, event):
        client = event.target
        client.remove_event_listener("socketData", self.first)
        data = client.read()
        client.write(data)
        match data[:1]:
            case b"c":
                client.close()
                self.ended["closed here"] += 1
            case b"a":
                client.flush()
                client.abort()
                self.ended["aborted here"] += 1
            case b"p":
                client.add_event_listener("socketData", self.echo_and_pause)
            case _:
                client.add_event_listener("socketData", self.echo)
                client.add_event_listener("outputProgress", self.drained)

    def echo(self, event):
        client = event.target
        client.write(client.read())
        if client.congested:
            client.pause()

    def drained(self, event):
        if not event.target.congested:
            event.target.resume()

    def echo_and_pause(self, event):
        client = event.target
        client.write(client.read())
        client.pause()
        client.reactor.call_later(PAUSE, partial(resume, client))

    def closed(self, event):
        self.ended["closed by the client"] += 1

    def broke(self, event):
        self.ended["broken"] += 1


def resume(client):
    if client.connected:
        client.resume()


class Allocator(ctypes.Structure):
    """What glibc tells of its heap: `mallinfo2`."""

    NAMES = ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost")
    _fields_ = tuple((name, ctypes.c_size_t) for name in NAMES)


def allocated():
    """Bytes that malloc has given out and not got back; ``None`` where it does not tell."""
    ask = getattr(libc, "mallinfo2", None)
    if ask is None:
        return None
    ask.restype = Allocator
    found = ask()
    return found.uordblks + found.hblkhd


def classes():
    """All classes of the package, those of the native engine too: the collector sees every object of them."""
    modules = [module for name, module in sys.modules.items() if name.partition(".")[0] == "serversocket"]
    found = {it for module in modules for it in vars(module).values() if isinstance(it, type)}
    return {it for it in found if str(it.__module__).partition(".")[0] == "serversocket"}


OURS = classes()
# Counted page by page, where others give an estimate; opened once, because opening a file leaves traces of its own.
ROLLUP = os.open("/proc/self/smaps_rollup", os.O_RDONLY)


def state(server, clients, trimmed):
    """What the process holds at this moment; `trimmed`: the allocator first gives back unused memory."""
    gc.collect()
    if trimmed and hasattr(libc, "malloc_trim"):
        libc.malloc_trim(0)
    resident = re.search(rb"^Rss: +([0-9]+) kB", os.pread(ROLLUP, 4096, 0), re.MULTILINE)
    objects = gc.get_objects()
    return {
        "descriptors": len(os.listdir("/proc/self/fd")) - 1,
        "objects": len(objects),
        "of_the_package": collections.Counter(type(it).__name__ for it in objects if type(it) in OURS),
        "blocks": sys.getallocatedblocks(),
        "allocated": allocated(),
        "kib": int(resident[1]),
        "connections": server.connections,
        "kept": server.reactor.bytes_kept,
        "ended": dict(clients.ended),
    }


def main():
    clients = Clients()
    server = serversocket.ServerSocket()
    server.add_event_listener("connect", clients.accept)
    server.bind(0, "127.0.0.1")
    server.listen()
    control = serversocket.ServerSocket()

    def asked(event):
        trimmed = event.target.read() == b"rest"
        event.target.write(json.dumps(state(server, clients, trimmed)).encode() + b"\n")

    def controlled(event):
        event.socket.add_event_listener("socketData", asked)
        event.socket.add_event_listener("close", lambda event: serversocket.stop())
        control.close()

    control.add_event_listener("connect", controlled)
    control.bind(0, "127.0.0.1")
    control.listen()
    announce(server.local_port, control.local_port, serversocket.implementation)
    serversocket.run()


if __name__ == "__main__":
    main()

"""serversocket, by its public API."""

import contextlib
import json
import random
import socket as system
import sys

import corpus
import program
from common import announce, role
from program import Batch, Deliberate, in_child, piece, prepare_to_end, say

import serversocket
from serversocket import Event, IOErrorEvent, ProgressEvent, Reactor, ServerSocket, ServerSocketConnectEvent, Socket

CAP = 16 * program.MEBIBYTE


def echo(event):
    event.socket.add_event_listener(ProgressEvent.SOCKET_DATA, on_data)


def on_data(event):
    event.target.write(event.target.read())


def offer(event):
    socket = event.socket
    socket.add_event_listener(IOErrorEvent.IO_ERROR, lambda event: say("ERROR", event.text))
    socket.buffer_limit = CAP
    with contextlib.suppress(OSError):
        for _ in range(program.OFFER):
            socket.write(piece())
    say("OFFERED")


def raise_connect(event):
    raise Deliberate


def raise_data(event):
    event.socket.add_event_listener(ProgressEvent.SOCKET_DATA, on_data_that_may_raise)


def on_data_that_may_raise(event):
    data = event.target.read()
    if program.RAISE in data:
        raise Deliberate
    event.target.write(data)


def raise_close(event):
    echo(event)
    event.socket.add_event_listener(Event.CLOSE, on_close_that_raises)


def on_close_that_raises(event):
    raise Deliberate


batch_state = Batch()


def batch(event):
    batch_state.members.add(event.socket)
    for kind in (ProgressEvent.SOCKET_DATA, Event.CLOSE, IOErrorEvent.IO_ERROR):
        event.socket.add_event_listener(kind, on_batch)


def on_batch(event):
    socket = event.target
    if event.type == ProgressEvent.SOCKET_DATA:
        batch_state.received(socket, socket.read(), socket.write, Socket.close)
    elif not socket.connected and socket in batch_state.members:
        batch_state.members.discard(socket)
    else:
        batch_state.late += 1


def fork(event):
    event.socket.add_event_listener(ProgressEvent.SOCKET_DATA, on_fork)


def on_fork(event):
    socket, name = event.target, event.target.read().decode()
    if name in program.FORK:
        in_child(name, server.close if name == "listener" else socket.close)
    socket.write(name.encode())


def leave(event):
    event.socket.add_event_listener(ProgressEvent.SOCKET_DATA, on_leave)


def on_leave(event):
    way = event.target.read().decode()
    prepare_to_end(way, event.target, event.target.close)
    if way == "exit":
        sys.exit(0)
    serversocket.stop()


def listen(address, port, reactor=None):
    with ServerSocket(reactor=reactor) as server:
        server.bind(port, address)
        server.listen()


def bind():
    say(json.dumps(corpus.accepted(listen)))


def well_formed(address):
    """Whether the system's own strict parsers take *address*, or it names a scope, which is the family's to judge."""
    if not address or "%" in address:
        return True
    for family in (system.AF_INET, system.AF_INET6):
        with contextlib.suppress(OSError, ValueError):
            system.inet_pton(family, address)
            return True
    return False


def fuzz(seed=1):
    """Bad ports and addresses, made of good ones, as many as asked for on stdin. None may be taken."""
    choose = random.Random(seed)
    seeds = ("127.0.0.1", "::1", "0.0.0.0", "255.1.22.133", "fe80::1:2", "::ffff:1.2.3.4", "1:2:3:4:5:6:7:8")
    letters = "0123456789abcdefxX.:/[]-+ \t\n\x00１。\u200b\ud800é"
    refused, taken = 0, []
    count = int(sys.stdin.readline())
    with contextlib.closing(Reactor()) as reactor:
        while refused + len(taken) < count:
            if choose.random() < 0.25:
                port = choose.choice((-1, 1)) * (65536 + choose.getrandbits(choose.randrange(1, 80)))
                address = "127.0.0.1"
            else:
                letter = choose.choice(letters)
                address, port = choose.choice(seeds), 0
                for _ in range(choose.randrange(1, 4)):
                    at = choose.randrange(len(address) + 1)
                    address = address[:at] + letter * choose.randrange(3) + address[at + choose.randrange(3) :]
                if well_formed(address):
                    continue
            try:
                listen(address, port, reactor)
                taken.append(ascii((address, port)))
            except ValueError:
                refused += 1
    say(json.dumps({"refused": refused, "taken": taken}))


ROLES = {
    "echo": echo,
    "offer": offer,
    "raise-connect": raise_connect,
    "raise-data": raise_data,
    "raise-close": raise_close,
    "batch": batch,
    "fork": fork,
    "exit": leave,
    "exit-signal": leave,
    "exit-thread": leave,
    "bind": bind,
    "fuzz": fuzz,
}


def start(handler):
    global server
    server = ServerSocket()
    server.add_event_listener(ServerSocketConnectEvent.CONNECT, handler)
    server.add_event_listener(Event.CLOSE, lambda event: say("TOLD"))
    server.bind(0, "127.0.0.1")
    server.listen()
    announce(server.local_port)


def run():
    start(handler)
    serversocket.run()


if __name__ == "__main__":
    handler, name = role(ROLES), sys.argv[-1]
    if handler in (bind, fuzz):
        handler()
    elif name == "exit-thread":
        program.in_daemon_thread(run)
    else:
        if name == "exit-signal":
            program.end_by_signal()
        run()

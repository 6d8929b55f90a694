"""gevent's StreamServer: a greenlet for each connection."""

import functools
import json
import sys

import corpus
import gevent
import gevent.event
import program
from common import ADDRESS, BACKLOG, READ_SIZE, announce, role
from gevent.server import StreamServer
from program import Batch, Deliberate, in_child, piece, prepare_to_end, say


def echo(socket, address):
    try:
        while data := socket.recv(READ_SIZE):
            socket.sendall(data)
    except ConnectionError:  # the client reset the connection; unhandled it would be a traceback
        pass


def offer(socket, address):
    for _ in range(program.OFFER):
        socket.sendall(piece())
    say("OFFERED")


def raise_connect(socket, address):
    raise Deliberate


def raise_data(socket, address):
    while data := socket.recv(READ_SIZE):
        if program.RAISE in data:
            raise Deliberate
        socket.sendall(data)


def raise_close(socket, address):
    echo(socket, address)
    raise Deliberate


batch_state = Batch()


def batch(socket, address):
    batch_state.members.add(socket)
    try:
        while data := socket.recv(READ_SIZE):
            batch_state.received(socket, data, socket.sendall, lambda other: other.close())
    except OSError:  # closed by another handler
        pass
    finally:
        batch_state.members.discard(socket)


def fork(socket, address):
    while name := socket.recv(READ_SIZE).decode():
        if name in program.FORK:
            in_child(name, server.close if name == "listener" else socket.close)
        socket.sendall(name.encode())


def leave(socket, address):
    way = socket.recv(READ_SIZE).decode()
    prepare_to_end(way, socket, socket.close)
    if way == "exit":
        sys.exit(0)
    ended.set()
    gevent.sleep(60)  # the connection is open when the program ends


def listen(address, port):
    server = StreamServer((address, port), echo)
    try:
        server.start()
    finally:
        server.stop()


def bind():
    say(json.dumps(corpus.accepted(listen)))


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
}


def serve(handler):
    global server, ended
    ended = gevent.event.Event()
    server = StreamServer((ADDRESS, 0), handler, backlog=BACKLOG)
    server.start()
    announce(server.server_port)
    ended.wait()


if __name__ == "__main__":
    handler, name = role(ROLES), sys.argv[-1]
    if handler is bind:
        bind()
    elif name == "exit-thread":
        program.in_daemon_thread(functools.partial(serve, handler))
    else:
        if name == "exit-signal":
            program.end_by_signal()
        serve(handler)

"""gevent's StreamServer: a greenlet for each connection, with the option `raw` one that gevent does not watch."""

import json

import corpus
import gevent
import gevent.event
import trouble
from common import ADDRESS, BACKLOG, CHUNK, READ_SIZE, announce, chosen, say
from gevent.server import StreamServer
from trouble import Batch, Deliberate


def accept(socket, address):
    socket.close()


def reply(socket, address):
    socket.sendall(socket.recv(READ_SIZE))


def echo(socket, address):
    recv, sendall = socket.recv, socket.sendall
    try:
        while data := recv(READ_SIZE):
            sendall(data)
    except ConnectionError:  # the client reset the connection; unhandled it would be a traceback
        pass


def discard(socket, address):
    while socket.recv(READ_SIZE):
        pass


def chargen(socket, address):
    try:
        while True:
            socket.sendall(CHUNK)
    except ConnectionError:
        pass


def offer(socket, address):
    trouble.offer(socket.sendall)


def raise_connect(socket, address):
    raise Deliberate


def raise_data(socket, address):
    while data := socket.recv(READ_SIZE):
        trouble.reply_or_raise(data, socket.sendall)


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
    while data := socket.recv(READ_SIZE):
        trouble.fork(data, server.close, socket.close, socket.sendall)


def leave(socket, address):
    trouble.leave(socket.recv(READ_SIZE), socket, socket.close, ended.set)
    gevent.sleep(60)  # the connection is open when the program ends


def listen(address, port):
    server = StreamServer((address, port), echo)
    try:
        server.start()
    finally:
        server.stop()


def bind():
    say(json.dumps(corpus.accepted(listen)))


ROLES = trouble.roles_in(globals())


def spawning(handler):
    """What runs the handler: with `raw` no Greenlet object is made, and where it never waits not even a greenlet."""
    if not chosen("raw"):
        return "default"
    return None if handler is accept else gevent.spawn_raw


def serve(handler):
    global server, ended
    ended = gevent.event.Event()
    server = StreamServer((ADDRESS, 0), handler, backlog=BACKLOG, spawn=spawning(handler))
    server.start()
    announce(server.server_port)
    ended.wait()


if __name__ == "__main__":
    trouble.main(ROLES, serve, bind=bind)

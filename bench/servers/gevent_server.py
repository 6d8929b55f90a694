"""gevent's StreamServer: a greenlet for each connection."""

from common import ADDRESS, BACKLOG, CHUNK, READ_SIZE, announce, role
from gevent import spawn_raw
from gevent.server import StreamServer


def accept(socket, address):
    socket.close()


def reply(socket, address):
    socket.sendall(socket.recv(READ_SIZE))


def echo(socket, address):
    recv, sendall = socket.recv, socket.sendall
    while data := recv(READ_SIZE):
        sendall(data)


def discard(socket, address):
    while socket.recv(READ_SIZE):
        pass


def chargen(socket, address):
    try:
        while True:
            socket.sendall(CHUNK)
    except ConnectionError:
        pass


handler = role({"accept": accept, "reply": reply, "echo": echo, "discard": discard, "chargen": chargen})
# spawn_raw makes no Greenlet object; a handler that never waits needs no greenlet at all.
spawn = None if handler is accept else spawn_raw
server = StreamServer((ADDRESS, 0), handler, backlog=BACKLOG, spawn=spawn)
server.start()
announce(server.server_port)
server.serve_forever()

"""The textbook loop: selectors.DefaultSelector, a callback with each socket."""

import selectors
import socket

from common import ADDRESS, BACKLOG, CHUNK, READ_SIZE, announce, role

ACCEPT_BATCH = 64
SOURCE_TURN = 16

selector = selectors.DefaultSelector()
rests = {}


def drop(connection):
    rests.pop(connection, None)
    selector.unregister(connection)
    connection.close()


def reply(connection):
    connection.send(connection.recv(READ_SIZE))
    drop(connection)


def echo(connection):
    data = connection.recv(READ_SIZE)
    if not data:
        return drop(connection)
    try:
        sent = connection.send(data)
    except BlockingIOError:
        sent = 0
    if sent < len(data):
        rests[connection] = memoryview(data)[sent:]
        selector.modify(connection, selectors.EVENT_WRITE, finish)


def finish(connection):
    rest = rests[connection] = rests[connection][connection.send(rests[connection]) :]
    if not rest:
        del rests[connection]
        selector.modify(connection, selectors.EVENT_READ, echo)


def discard(connection):
    if not connection.recv(READ_SIZE):
        drop(connection)


def chargen(connection):
    for _ in range(SOURCE_TURN):
        if connection.send(CHUNK) < len(CHUNK):
            break


def main():
    serve = role({"accept": None, "reply": reply, "echo": echo, "discard": discard, "chargen": chargen})
    interest = selectors.EVENT_WRITE if serve is chargen else selectors.EVENT_READ

    def accept(listener):
        for _ in range(ACCEPT_BATCH):
            connection, _address = listener.accept()
            if serve is None:
                connection.close()
            else:
                connection.setblocking(False)
                selector.register(connection, interest, serve)

    listener = socket.create_server((ADDRESS, 0), backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ, accept)
    announce(listener.getsockname()[1])
    while True:
        for key, _events in selector.select():
            try:
                key.data(key.fileobj)
            except BlockingIOError:
                pass
            except ConnectionError:
                if key.fileobj is not listener:
                    drop(key.fileobj)


main()

"""A loop over select.epoll, written out: nothing between the system's calls and the role."""

import select
import socket

from common import ADDRESS, BACKLOG, CHUNK, READ_SIZE, announce, role

ACCEPT_BATCH = 64
SOURCE_TURN = 16

poller = select.epoll()
connections = {}
rests = {}


def drop(fd):
    rests.pop(fd, None)
    connections.pop(fd).close()


def reply(fd, connection):
    connection.send(connection.recv(READ_SIZE))
    drop(fd)


def echo(fd, connection):
    if fd in rests:
        rest = rests[fd] = rests[fd][connection.send(rests[fd]) :]
        if not rest:
            del rests[fd]
            poller.modify(fd, select.EPOLLIN)
        return
    data = connection.recv(READ_SIZE)
    if not data:
        return drop(fd)
    try:
        sent = connection.send(data)
    except BlockingIOError:
        sent = 0
    if sent < len(data):
        rests[fd] = memoryview(data)[sent:]
        poller.modify(fd, select.EPOLLOUT)


def discard(fd, connection):
    if not connection.recv(READ_SIZE):
        drop(fd)


def chargen(fd, connection):
    for _ in range(SOURCE_TURN):
        if connection.send(CHUNK) < len(CHUNK):
            break


def accept_only(listener):
    for _ in range(ACCEPT_BATCH):
        listener.accept()[0].close()


def accept_and_watch(listener, interest):
    for _ in range(ACCEPT_BATCH):
        connection, _address = listener.accept()
        connection.setblocking(False)
        fd = connection.fileno()
        connections[fd] = connection
        poller.register(fd, interest)


def main():
    serve, interest = role(
        {
            "accept": (None, 0),
            "reply": (reply, select.EPOLLIN),
            "echo": (echo, select.EPOLLIN),
            "discard": (discard, select.EPOLLIN),
            "chargen": (chargen, select.EPOLLOUT),
        }
    )
    listener = socket.create_server((ADDRESS, 0), backlog=BACKLOG)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    listener.setblocking(False)
    listening = listener.fileno()
    poller.register(listening, select.EPOLLIN)
    announce(listener.getsockname()[1])
    while True:
        for fd, _event in poller.poll():
            try:
                if fd != listening:
                    serve(fd, connections[fd])
                elif serve:
                    accept_and_watch(listener, interest)
                else:
                    accept_only(listener)
            except BlockingIOError:
                pass
            except ConnectionError:
                if fd != listening:
                    drop(fd)


main()

"""serversocket, by its public API."""

import contextlib
import json
import sys

import corpus
import trouble
from common import ADDRESS, CHUNK, announce, say
from trouble import Batch, Deliberate, piece

import serversocket
from serversocket import Reactor, ServerSocket, Socket

FILL = 16 * len(CHUNK)  # in a turn, as the server in C
CAP = 16 * trouble.MEBIBYTE


def accept(event):
    event.socket.close()


def reply(event):
    event.socket.add_event_listener("socketData", on_request)


def on_request(event):
    socket = event.target
    socket.write(socket.read())
    socket.close()


def echo(event):
    event.socket.add_event_listener("socketData", on_data)


def on_data(event):
    socket = event.target
    socket.write(socket.read())


def discard(event):
    event.socket.add_event_listener("socketData", on_discard)


def on_discard(event):
    event.target.read()


def chargen(event):
    event.socket.add_event_listener("outputProgress", on_progress)
    fill(event.socket, 0)


def on_progress(event):
    fill(event.target, event.bytes_pending)


def fill(socket, pending):
    while pending < FILL:
        pending += socket.write(CHUNK)


def offer(event):
    socket = event.socket
    socket.add_event_listener("ioError", lambda event: say("ERROR", event.text))
    socket.buffer_limit = CAP
    with contextlib.suppress(OSError):
        for _ in range(trouble.OFFER):
            socket.write(piece())
    say("OFFERED")


def raise_connect(event):
    raise Deliberate


def raise_data(event):
    event.socket.add_event_listener("socketData", on_data_that_may_raise)


def on_data_that_may_raise(event):
    trouble.reply_or_raise(event.target.read(), event.target.write)


def raise_close(event):
    echo(event)
    event.socket.add_event_listener("close", on_close_that_raises)


def on_close_that_raises(event):
    raise Deliberate


batch_state = Batch()


def batch(event):
    batch_state.members.add(event.socket)
    for kind in ("socketData", "close", "ioError"):
        event.socket.add_event_listener(kind, on_batch)


def on_batch(event):
    socket = event.target
    if event.type == "socketData":
        batch_state.received(socket, socket.read(), socket.write, Socket.close)
    elif not socket.connected and socket in batch_state.members:
        batch_state.members.discard(socket)
    else:
        batch_state.late += 1


def fork(event):
    event.socket.add_event_listener("socketData", on_fork)


def on_fork(event):
    socket = event.target
    trouble.fork(socket.read(), server.close, socket.close, socket.write)


def leave(event):
    event.socket.add_event_listener("socketData", on_leave)


def on_leave(event):
    trouble.leave(event.target.read(), event.target, event.target.close, serversocket.stop)


def listen(address, port, reactor=None):
    with ServerSocket(reactor=reactor) as server:
        server.bind(port, address)
        server.listen()


def bind():
    say(json.dumps(corpus.accepted(listen)))


def fuzz():
    with contextlib.closing(Reactor()) as reactor:
        say(json.dumps(corpus.fuzzed(int(sys.stdin.readline()), lambda *case: listen(*case, reactor))))


ROLES = trouble.roles_in(globals())


def start(handler):
    global server
    server = ServerSocket()
    server.add_event_listener("connect", handler)
    server.add_event_listener("close", lambda event: say("TOLD"))
    server.bind(0, ADDRESS)
    server.listen()
    announce(server.local_port)


def serve(handler):
    start(handler)
    serversocket.run()


if __name__ == "__main__":
    trouble.main(ROLES, serve, bind=bind, fuzz=fuzz)

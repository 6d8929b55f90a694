"""serversocket, by its public API."""

from common import CHUNK, announce, role

import serversocket
from serversocket import ServerSocket

FILL = 16 * len(CHUNK)  # in a turn, as the server in C


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


def start():
    server = ServerSocket()
    server.add_event_listener(
        "connect",
        role({"accept": accept, "reply": reply, "echo": echo, "discard": discard, "chargen": chargen}),
    )
    server.bind(0, "127.0.0.1")
    server.listen()
    announce(server.local_port)


if __name__ == "__main__":
    start()
    serversocket.run()

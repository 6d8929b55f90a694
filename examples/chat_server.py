"""A chat with rooms, with listeners. Run it with ``chat_server.py [PORT]``; Ctrl-C or SIGTERM ends it."""

import signal
import sys

import serversocket

LONGEST_LINE = 1024  # bytes
LONGEST_SILENCE = 600  # seconds
MOST_CLIENTS = 1000

rooms = {}  # the clients in each


class Client:
    def __init__(self, socket):
        self.socket = socket
        self.name = f"guest{socket.remote_port}"
        self.room = None
        socket.idle_timeout = LONGEST_SILENCE
        socket.add_event_listener("socketData", self.received)
        socket.add_event_listener("close", self.leave)
        self.join("lobby")

    def received(self, event):
        while (end := self.socket.peek(LONGEST_LINE).find(b"\n")) >= 0:
            self.said(self.socket.read(end + 1).decode(errors="replace").strip())
            if self.room is None:
                return  # it has quit
        if self.socket.bytes_available >= LONGEST_LINE:
            self.drop()

    def said(self, line):
        command, _, argument = line.partition(" ")
        if command == "/join" and argument:
            self.leave()
            self.join(argument)
        elif command == "/name" and argument:
            tell(self.room, f"* {self.name} is now {argument}")
            self.name = argument
        elif command == "/quit":
            self.leave()
            self.socket.close()
        elif line:
            tell(self.room, f"{self.name}: {line}")

    def join(self, room):
        self.room = room
        rooms.setdefault(room, set()).add(self)
        tell(room, f"* {self.name} has joined {room}")

    def leave(self, event=None):
        room, self.room = self.room, None
        if room is not None:
            rooms[room].discard(self)
            if not rooms[room]:
                del rooms[room]
            tell(room, f"* {self.name} has left {room}")

    def drop(self):
        self.leave()
        if self.socket.connected:
            self.socket.abort()


def tell(room, text):
    for client in list(rooms.get(room, ())):
        if client.socket.connected:
            client.socket.write(text.encode() + b"\n")
            if client.socket.congested:
                client.drop()  # it does not keep up


def listen(port):
    server = serversocket.ServerSocket()
    server.max_connections = MOST_CLIENTS
    server.add_event_listener("connect", lambda event: Client(event.socket))
    server.bind(port, "127.0.0.1")
    server.listen()
    return server


def close(server):
    if not server.listening:
        return  # a second Ctrl-C
    server.close()
    for room, clients in list(rooms.items()):
        tell(room, "* the server stops")
        for client in list(clients):
            if client.socket.connected:
                client.socket.close()  # sends what is pending


def main():
    server = listen(int(sys.argv[1]) if len(sys.argv) > 1 else 8000)
    for signum in signal.SIGINT, signal.SIGTERM:
        server.reactor.on_signal(signum, close, server)
    print(f"chat on {server.local_address}:{server.local_port}", flush=True)
    serversocket.run()


if __name__ == "__main__":
    main()

"""A chat with rooms, with async/await. Run it with ``async_chat.py [PORT]``; Ctrl-C or SIGTERM ends it."""

import asyncio
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
        elif line:
            tell(self.room, f"{self.name}: {line}")

    def join(self, room):
        self.room = room
        rooms.setdefault(room, set()).add(self)
        tell(room, f"* {self.name} has joined {room}")

    def leave(self):
        room, self.room = self.room, None
        if room is not None:
            rooms[room].discard(self)
            if not rooms[room]:
                del rooms[room]
            tell(room, f"* {self.name} has left {room}")


def tell(room, text):
    for client in list(rooms.get(room, ())):
        try:
            if not client.socket.send_nowait(text.encode() + b"\n"):
                client.socket.abort()  # it does not keep up; its own task leaves the room
        except OSError:
            pass  # it has gone, and its own task is about to hear of it


async def talk(socket):
    socket.socket.idle_timeout = LONGEST_SILENCE
    client = Client(socket)
    client.join("lobby")
    try:
        while client.room is not None:
            line = await socket.receive_until(b"\n", LONGEST_LINE)
            client.said(line.decode(errors="replace").strip())
    except serversocket.RangeError:
        socket.abort()  # the line is too long
    finally:
        client.leave()


def close(server):
    server.close()
    for room, clients in list(rooms.items()):
        tell(room, "* the server stops")
        for client in list(clients):
            client.socket.close()  # sends what is pending


async def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8000
    async with serversocket.aio.listen(port, "127.0.0.1", max_connections=MOST_CLIENTS) as server:
        for signum in signal.SIGINT, signal.SIGTERM:
            server.server.reactor.on_signal(signum, close, server)
        print(f"chat on {server.local_address}:{server.local_port}", flush=True)
        await server.serve(talk)


if __name__ == "__main__":
    asyncio.run(main())

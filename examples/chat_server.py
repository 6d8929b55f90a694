"""A chat: each line that a client sends goes to all the others. Run it with ``chat_server.py [PORT]``."""

import sys
from contextlib import suppress

import serversocket

clients = {}
LONGEST_LINE = 4096
MOST_PENDING = 1 << 20


def connected(event):
    client = event.socket
    client.add_event_listener("socketData", received)
    client.add_event_listener("close", closed)
    clients[client] = b""
    tell(f"* {name(client)} has come, {len(clients)} here\n".encode())


def received(event):
    client = event.target
    # What arrives ends anywhere: the beginning of a line waits for the rest.
    *lines, clients[client] = (clients[client] + client.read()).split(b"\n")
    for line in lines:
        tell(name(client).encode() + b": " + line + b"\n", but=client)
    if len(clients.get(client, b"")) > LONGEST_LINE:
        leave(client)


def closed(event):
    leave(event.target)


def leave(client):
    if clients.pop(client, None) is None:
        return  # as one that was too slow already
    if client.connected:
        client.abort()
    tell(f"* {name(client)} has gone, {len(clients)} here\n".encode())


def tell(text, but=None):
    slow = []
    for client in clients:
        if client is not but and client.connected:
            client.write(text)
            if client.bytes_pending > MOST_PENDING:
                slow.append(client)
    for client in slow:
        leave(client)


def name(client):
    return f"{client.remote_address}:{client.remote_port}"


def main():
    server = serversocket.ServerSocket()
    server.add_event_listener("connect", connected)
    server.bind(int(sys.argv[1]) if len(sys.argv) > 1 else 8000, "127.0.0.1")
    server.listen()
    print(f"chat on {server.local_address}:{server.local_port}", flush=True)
    with suppress(KeyboardInterrupt):
        serversocket.run()


if __name__ == "__main__":
    main()

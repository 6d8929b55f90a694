"""A chat in coroutines: each line goes to all the others. Run it with ``async_chat.py [PORT]``; SIGTERM ends it."""

import asyncio
import signal
import sys

import serversocket

LONGEST_LINE = 4096
MOST_PENDING = 1 << 20
clients = set()


async def talk(client):
    client.socket.high_water_mark = MOST_PENDING
    clients.add(client)
    name = f"{client.remote_address}:{client.remote_port}"
    tell(f"* {name} has come, {len(clients)} here\n")
    try:
        while True:
            line = await client.receive_until(b"\n", LONGEST_LINE)
            tell(f"{name}: {line.decode(errors='replace')}", but=client)
    except serversocket.RangeError:
        client.abort()  # no line is that long
    finally:
        clients.discard(client)
        tell(f"* {name} has gone, {len(clients)} here\n")


def tell(text, but=None):
    for client in list(clients):
        if client is but:
            continue
        try:
            keeps_up = client.send_nowait(text.encode())
        except OSError:
            continue  # it has gone, as its own task is about to hear
        if not keeps_up:
            client.abort()


async def main():
    async with serversocket.aio.listen(int(sys.argv[1]) if len(sys.argv) > 1 else 8000, "127.0.0.1") as server:
        print(f"chat on {server.local_address}:{server.local_port}", flush=True)
        serving = asyncio.create_task(server.serve(talk))
        server.server.reactor.on_signal(signal.SIGTERM, serving.cancel)
        await asyncio.wait([serving])


if __name__ == "__main__":
    asyncio.run(main())

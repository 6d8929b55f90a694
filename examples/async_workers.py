"""An echo server on all cores, with async/await. Run it with ``async_workers.py [PORT]``.

Ctrl-C ends it, SIGHUP replaces its workers.
"""

import logging
import sys

import serversocket


async def setup(server):
    async with serversocket.aio.AsyncServer(server) as clients:
        await clients.serve(echo)


async def echo(client):
    async for chunk in client:
        await client.send(chunk)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    supervisor = serversocket.Supervisor(setup, int(sys.argv[1]) if len(sys.argv) > 1 else 8000, "127.0.0.1")
    print(f"{supervisor.workers} workers on {supervisor.local_address}:{supervisor.local_port}", flush=True)
    supervisor.run()

"""Forwards connections to another server. Run it with ``proxy.py PORT HOST HOST_PORT``; SIGTERM lets clients finish."""

import asyncio
import signal
import sys

import serversocket


async def main():
    port, host, host_port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])

    async def forward(client):
        peer = f"{client.remote_address}:{client.remote_port}"  # not known any more once it is aborted
        try:
            server = await serversocket.aio.connect(host, host_port)
            carried = await serversocket.aio.pipe(client, server)
        except OSError as error:
            client.abort()  # an end would tell the client that this was all
            print(f"{peer}: {error}", flush=True)
        else:
            print(f"{peer}: {carried.to_target} bytes to {host}, {carried.to_source} bytes back", flush=True)

    async with serversocket.aio.listen(port, "127.0.0.1") as server:
        server.server.reactor.on_signal(signal.SIGTERM, server.close)
        await server.serve(forward)


if __name__ == "__main__":
    asyncio.run(main())

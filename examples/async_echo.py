import asyncio

import serversocket


async def echo(client):
    async for chunk in client:
        await client.send(chunk)


async def main():
    async with serversocket.aio.listen(8000, "127.0.0.1") as server:
        await server.serve(echo)


asyncio.run(main())

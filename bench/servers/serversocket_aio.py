"""serversocket for coroutines, in asyncio's loop; with the option `uvloop` in its loop."""

import loops
from common import ADDRESS, BACKLOG, CHUNK, announce, role

import serversocket.aio


async def accept(socket):
    pass  # it is closed when this returns


async def reply(socket):
    await socket.send(await socket.receive())


async def echo(socket):
    async for data in socket:
        await socket.send(data)


async def discard(socket):
    async for _ in socket:
        pass


async def chargen(socket):
    while True:
        await socket.send(CHUNK)


async def main():
    handler = role({"accept": accept, "reply": reply, "echo": echo, "discard": discard, "chargen": chargen})
    async with serversocket.aio.listen(0, ADDRESS, backlog=BACKLOG) as server:
        announce(server.local_port)
        await server.serve(handler)


if __name__ == "__main__":
    loops.run(main())

"""asyncio with streams; with the option `uvloop` in its loop."""

import asyncio

import loops
from common import ADDRESS, BACKLOG, CHUNK, READ_SIZE, announce, role


async def accept(reader, writer):
    writer.close()


async def reply(reader, writer):
    writer.write(await reader.read(READ_SIZE))
    writer.close()


async def echo(reader, writer):
    while data := await reader.read(READ_SIZE):
        writer.write(data)
        await writer.drain()
    writer.close()


async def discard(reader, writer):
    while await reader.read(READ_SIZE):
        pass
    writer.close()


async def chargen(reader, writer):
    try:
        while True:
            writer.write(CHUNK)
            await writer.drain()
    except ConnectionError:
        writer.close()


async def main():
    handler = role({"accept": accept, "reply": reply, "echo": echo, "discard": discard, "chargen": chargen})
    server = await asyncio.start_server(handler, ADDRESS, 0, backlog=BACKLOG)
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


if __name__ == "__main__":
    loops.run(main())

"""trio: a task for each connection."""

import trio
from common import ADDRESS, BACKLOG, CHUNK, READ_SIZE, announce, role


async def accept(stream):
    await stream.aclose()


async def reply(stream):
    await stream.send_all(await stream.receive_some(READ_SIZE))


async def echo(stream):
    while data := await stream.receive_some(READ_SIZE):
        await stream.send_all(data)


async def discard(stream):
    while await stream.receive_some(READ_SIZE):
        pass


async def chargen(stream):
    try:
        while True:
            await stream.send_all(CHUNK)
    except trio.BrokenResourceError:
        pass


async def main():
    handler = role({"accept": accept, "reply": reply, "echo": echo, "discard": discard, "chargen": chargen})
    (listener,) = await trio.open_tcp_listeners(0, host=ADDRESS, backlog=BACKLOG)
    announce(listener.socket.getsockname()[1])
    await trio.serve_listeners(handler, [listener])


trio.run(main)

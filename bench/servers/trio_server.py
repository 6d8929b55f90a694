"""trio: a task for each connection."""

import json

import corpus
import trio
import trouble
from common import ADDRESS, BACKLOG, CHUNK, READ_SIZE, announce, say
from trouble import Batch, Deliberate, in_child, piece


async def accept(stream):
    await stream.aclose()


async def reply(stream):
    await stream.send_all(await stream.receive_some(READ_SIZE))


async def echo(stream):
    try:
        while data := await stream.receive_some(READ_SIZE):
            await stream.send_all(data)
    except trio.BrokenResourceError:  # the client reset the connection; unhandled it would end the server
        pass


async def discard(stream):
    while await stream.receive_some(READ_SIZE):
        pass


async def chargen(stream):
    try:
        while True:
            await stream.send_all(CHUNK)
    except trio.BrokenResourceError:
        pass


async def offer(stream):
    for _ in range(trouble.OFFER):
        await stream.send_all(piece())
    say("OFFERED")


async def raise_connect(stream):
    raise Deliberate


async def raise_data(stream):
    async for data in stream:
        if trouble.RAISE in data:
            raise Deliberate
        await stream.send_all(data)


async def raise_close(stream):
    await echo(stream)
    raise Deliberate


batch_state = Batch()


def close_now(stream):
    stream.socket.close()


async def batch(stream):
    batch_state.members.add(stream)
    try:
        async for data in stream:
            replies = []
            batch_state.received(stream, data, replies.append, close_now)
            for reply in replies:
                await stream.send_all(reply)
    except (trio.ClosedResourceError, trio.BrokenResourceError):  # closed by another task
        pass
    finally:
        batch_state.members.discard(stream)


async def fork(stream):
    async for data in stream:
        name = data.decode()
        if name in trouble.FORK:
            in_child(name, listener.socket.close if name == "listener" else stream.socket.close)
        await stream.send_all(data)


async def leave(stream):
    trouble.leave(await stream.receive_some(READ_SIZE), stream, stream.socket.close, ended.set)
    await trio.sleep_forever()


async def accepted():
    taken = []
    for address, port in corpus.CASES:
        try:
            listeners = await trio.open_tcp_listeners(port, host=address)
        except Exception:
            continue
        for each in listeners:
            await each.aclose()
        taken.append(corpus.described(address, port))
    say(json.dumps(taken))


ROLES = trouble.roles_in(globals())


async def listen(handler):
    global listener, ended
    ended = trio.Event()
    (listener,) = await trio.open_tcp_listeners(0, host=ADDRESS, backlog=BACKLOG)
    announce(listener.socket.getsockname()[1])
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, handler, [listener])
        await ended.wait()
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trouble.main(ROLES, lambda handler: trio.run(listen, handler), bind=lambda: trio.run(accepted))

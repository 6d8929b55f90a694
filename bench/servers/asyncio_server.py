"""asyncio with protocols, or `buffered` ones; in its own loop, or with `uvloop` or `aiofastnet` in theirs."""

import asyncio
import json

import corpus
import loops
import trouble
from common import ADDRESS, BACKLOG, CHUNK, READ_SIZE, announce, chosen, say
from trouble import Batch, Deliberate

DEFAULT_BACKLOG = 100  # asyncio accepts as many in a turn, so a longer one does not do it justice in a crowd
TURN = 16  # chunks written in a row before the other connections have their turn


class Connection(asyncio.Protocol):
    __slots__ = ("transport",)

    def connection_made(self, transport):
        self.transport = transport


class Accept(asyncio.Protocol):
    __slots__ = ()

    def connection_made(self, transport):
        transport.close()


class Reply(Connection):
    __slots__ = ()

    def data_received(self, data):
        self.transport.write(data)
        self.transport.close()


class Echo(Connection):
    __slots__ = ()

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


class EchoToCrowd(Echo):
    __slots__ = ()


class Discard(Connection):
    __slots__ = ()

    def data_received(self, data):
        pass


class Chargen(Connection):
    __slots__ = ("loop", "paused")

    def connection_made(self, transport):
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self.paused = False
        self.fill()

    def fill(self):
        for _ in range(TURN):
            if self.paused or self.transport.is_closing():
                return
            self.transport.write(CHUNK)
        self.loop.call_soon(self.fill)

    def pause_writing(self):
        self.paused = True

    def resume_writing(self):
        self.paused = False
        self.fill()


class Buffered(asyncio.BufferedProtocol):
    """Receives into one buffer that all connections share: each is done with it before the next one reads."""

    __slots__ = ("transport",)
    buffer = memoryview(bytearray(READ_SIZE))

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, sizehint):
        return self.buffer

    pause_writing = Echo.pause_writing
    resume_writing = Echo.resume_writing


class BufferedReply(Buffered):
    __slots__ = ()

    def buffer_updated(self, size):
        self.transport.write(bytes(self.buffer[:size]))
        self.transport.close()


class BufferedEcho(Buffered):
    __slots__ = ()

    def buffer_updated(self, size):
        self.transport.write(bytes(self.buffer[:size]))


class BufferedDiscard(Buffered):
    __slots__ = ()

    def buffer_updated(self, size):
        pass


class Offer(asyncio.Protocol):
    def connection_made(self, transport):
        trouble.offer(transport.write)


class RaiseConnect(Echo):
    def connection_made(self, transport):
        self.transport = transport
        raise Deliberate


class RaiseData(Echo):
    def data_received(self, data):
        trouble.reply_or_raise(data, self.transport.write)


class RaiseClose(Echo):
    def connection_lost(self, error):
        raise Deliberate


class InBatch(Echo):
    state = Batch()

    def connection_made(self, transport):
        self.transport = transport
        self.state.members.add(self)

    def data_received(self, data):
        self.state.received(self, data, self.transport.write, lambda other: other.transport.close())

    def connection_lost(self, error):
        self.state.members.discard(self)


class Fork(Echo):
    def data_received(self, data):
        trouble.fork(data, server.close, self.transport.close, self.transport.write)


class Leave(Echo):
    def data_received(self, data):
        trouble.leave(data, self.transport, self.transport.close, ended.set)


async def accepted():
    loop = asyncio.get_running_loop()
    taken = []
    for case in corpus.CASES:
        try:
            server = await loop.create_server(Echo, *case)
        except Exception:
            continue
        server.close()
        taken.append(corpus.described(*case))
    say(json.dumps(taken))


async def listen(protocol):
    global server, ended
    ended = asyncio.Event()
    backlog = DEFAULT_BACKLOG if protocol is EchoToCrowd else BACKLOG
    server = await asyncio.get_running_loop().create_server(protocol, ADDRESS, 0, backlog=backlog)
    announce(server.sockets[0].getsockname()[1])
    await ended.wait()


ROLES = {**trouble.roles_in(globals(), trouble.class_for), "echo-default-backlog": EchoToCrowd}
BUFFERED = {"reply": BufferedReply, "echo": BufferedEcho, "discard": BufferedDiscard}

if __name__ == "__main__":
    trouble.main(
        ROLES | BUFFERED if chosen("buffered") else ROLES,
        lambda protocol: loops.run(listen(protocol)),
        bind=lambda: loops.run(accepted()),
    )

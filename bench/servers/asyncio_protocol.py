"""asyncio with protocols; the uvloop and aiofastnet servers run the same classes on their own loops."""

import asyncio

from common import ADDRESS, BACKLOG, CHUNK, READ_SIZE, announce, role

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


PROTOCOLS = {"accept": Accept, "reply": Reply, "echo": Echo, "discard": Discard, "chargen": Chargen}
BUFFERED = PROTOCOLS | {"reply": BufferedReply, "echo": BufferedEcho, "discard": BufferedDiscard}


def main(run=asyncio.run, protocols=PROTOCOLS):
    protocol = role(protocols)

    async def serve():
        server = await asyncio.get_running_loop().create_server(protocol, ADDRESS, 0, backlog=BACKLOG)
        announce(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    run(serve())


if __name__ == "__main__":
    main()

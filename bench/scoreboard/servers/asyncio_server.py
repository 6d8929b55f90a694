"""asyncio with protocols; with the argument uvloop on uvloop's loop."""

import asyncio
import json
import sys

import corpus
import program
from common import ADDRESS, BACKLOG, announce, role
from program import Batch, Deliberate, in_child, piece, prepare_to_end, say

DEFAULT_BACKLOG = 100  # asyncio accepts as many in a turn, so a longer one does not do it justice in a crowd


class Echo(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.transport.write(data)

    def pause_writing(self):
        self.transport.pause_reading()

    def resume_writing(self):
        self.transport.resume_reading()


class Offer(asyncio.Protocol):
    def connection_made(self, transport):
        for _ in range(program.OFFER):
            transport.write(piece())
        say("OFFERED")


class RaiseConnect(Echo):
    def connection_made(self, transport):
        self.transport = transport
        raise Deliberate


class RaiseData(Echo):
    def data_received(self, data):
        if program.RAISE in data:
            raise Deliberate
        self.transport.write(data)


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
        name = data.decode()
        if name in program.FORK:
            in_child(name, server.close if name == "listener" else self.transport.close)
        self.transport.write(data)


class Leave(Echo):
    def data_received(self, data):
        way = data.decode()
        prepare_to_end(way, self.transport, self.transport.close)
        if way == "exit":
            sys.exit(0)
        ended.set()


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


ROLES = {
    "echo": Echo,
    "echo-default-backlog": Echo,
    "offer": Offer,
    "raise-connect": RaiseConnect,
    "raise-data": RaiseData,
    "raise-close": RaiseClose,
    "batch": InBatch,
    "fork": Fork,
    "exit": Leave,
    "exit-signal": Leave,
    "exit-thread": Leave,
    "bind": accepted,
}


async def serve():
    global server, ended
    ended = asyncio.Event()
    backlog = DEFAULT_BACKLOG if name == "echo-default-backlog" else BACKLOG
    server = await asyncio.get_running_loop().create_server(protocol, ADDRESS, 0, backlog=backlog)
    announce(server.sockets[0].getsockname()[1])
    await ended.wait()


def run_asyncio(main):
    asyncio.run(main())


def run_uvloop(main):
    import uvloop  # noqa: PLC0415 (not wanted without the argument)

    uvloop.run(main())


if __name__ == "__main__":
    run = run_uvloop if "uvloop" in sys.argv else run_asyncio
    protocol, name = role(ROLES), sys.argv[-1]
    if protocol is accepted:
        run(accepted)
    elif name == "exit-thread":
        program.in_daemon_thread(lambda: run(serve))
    else:
        if name == "exit-signal":
            program.end_by_signal()
        run(serve)

from __future__ import annotations

import asyncio
import socket

from serversocket import ServerSocket, Socket

from ..behaviour.helpers import on_posix

pytestmark = on_posix


def closed_reactor():
    """Closes the reactor of the running loop; returns its number, which the system gives out again."""
    server = ServerSocket()
    server.bind(0, "127.0.0.1")
    server.listen()
    number = server.reactor.fileno()
    server.reactor.close()
    return number


def test_servers_of_asyncio_work_under_its_number():
    async def answer(reader, writer):
        writer.write(await reader.read(10))
        writer.close()

    async def main():
        number = closed_reactor()
        servers = [await asyncio.start_server(answer, "127.0.0.1", 0) for _ in range(4)]
        assert number in [server.sockets[0].fileno() for server in servers]
        for server in servers:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            writer.write(b"hello")
            assert await asyncio.wait_for(reader.read(), 60) == b"hello"
            writer.close()
            await writer.wait_closed()
            server.close()
            await server.wait_closed()

    asyncio.run(main())


def test_next_reactor_works_under_its_number():
    async def main():
        number = closed_reactor()
        accepted = asyncio.get_running_loop().create_future()
        with ServerSocket() as server:
            assert server.reactor.fileno() == number
            assert not server.reactor.closed
            server.bind(0, "127.0.0.1")
            server.add_event_listener("connect", lambda event: accepted.set_result(event.socket))
            server.listen()
            with socket.create_connection(("127.0.0.1", server.local_port)):
                it = await asyncio.wait_for(accepted, 60)
                assert isinstance(it, Socket)
                it.close()
        server.reactor.close()

    asyncio.run(main())

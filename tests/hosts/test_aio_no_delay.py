"""TCP_NODELAY of the connections of coroutines, as the system has it."""

from __future__ import annotations

from serversocket import Socket, aio

from .coroutines import connection, listen, no_delay, plain_client


def test_small_writes_leave_at_once(run):
    async def main():
        async with connection() as (client, accepted):
            for each in (client, accepted):
                assert each.socket.tcp_no_delay
                assert no_delay(each.socket)

    run(main)


def test_served_clients_have_it_from_their_first_step(run):
    async def main():
        seen = []

        async def handler(client):
            seen.append(no_delay(client.socket))
            server.close()

        async with listen() as server:
            with plain_client(server):
                await server.serve(handler)
        assert seen == [True]

    run(main)


def test_a_program_that_wants_otherwise_has_its_way(run):
    async def main():
        async with connection() as (client, accepted):
            for each in (client, accepted):
                each.socket.tcp_no_delay = False
                await each.send(b"x")
                assert not no_delay(each.socket)

    run(main)


def test_a_plain_socket_is_left_as_it_is_until_it_is_wrapped(run):
    async def main():
        async with listen() as server:
            it = Socket("127.0.0.1", server.local_port)
            await it.once("connect")
            assert not no_delay(it)
            async with aio.AsyncSocket(it), await server.accept():
                assert no_delay(it)

    run(main)


def test_a_system_that_refuses_the_option_ends_nothing(run):
    async def main():
        class Stubborn(Socket):
            @property
            def tcp_no_delay(self):
                return False

            @tcp_no_delay.setter
            def tcp_no_delay(self, value):
                raise OSError("as macOS does where the peer has gone")

        async with listen() as server:
            it = Stubborn("127.0.0.1", server.local_port)
            await it.once("connect")
            async with aio.AsyncSocket(it) as client, await server.accept() as accepted:
                await client.send(b"hello")
                assert await accepted.receive() == b"hello"

    run(main)

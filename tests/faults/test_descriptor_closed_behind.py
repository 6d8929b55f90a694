from __future__ import annotations

import asyncio
import errno
import os
import time

import pytest

from serversocket import Reactor, ServerSocket
from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import Log, connect_to, connection, listening, on_posix, receive_exactly, run_until, settle

pytestmark = on_posix


@pytest.fixture(params=["pipe", "file"])
def strangers(request, tmp_path):
    """Closes a descriptor and gives its number to somebody else, who must still be there in the end."""
    taken = []

    def take(number):
        if request.param == "pipe":
            reading, writing = os.pipe()
        else:
            writing = os.open(tmp_path / "file", os.O_WRONLY | os.O_CREAT)
            reading = os.open(tmp_path / "file", os.O_RDONLY)
        os.close(number)
        os.dup2(reading, number)
        os.close(reading)
        taken.append((number, writing))

    yield take
    assert taken
    for number, writing in taken:
        os.write(writing, b"x")
        assert os.read(number, 1) == b"x"
        os.close(number)
        os.close(writing)


@pytest.mark.parametrize("how", ["close", "abort"])
def test_closing_a_socket_leaves_a_stranger_under_its_number_alone(strangers, how):
    with connection() as it:
        strangers(it.socket.fileno())
        getattr(it.socket, how)()
        assert not it.socket.connected


@pytest.mark.parametrize("how", ["close", "resume", "abort"])
@pytest.mark.parametrize("paused_first", [True, False])
def test_a_paused_socket_leaves_a_stranger_under_its_number_alone(strangers, paused_first, how):
    with connection() as it:
        if paused_first:
            it.socket.pause()
        strangers(it.socket.fileno())
        if not paused_first:
            it.socket.pause()
        getattr(it.socket, how)()
        settle(it.reactor)
        assert not it.socket.connected
        assert it.log.count("socketData") == 0


def test_closing_a_server_leaves_a_stranger_under_its_number_alone(strangers):
    server = ServerSocket()
    server.bind(0, "127.0.0.1")
    server.listen()
    server.add_event_listener("connect", print)
    strangers(server.fileno())
    server.close()


def test_closing_the_reactor_leaves_a_stranger_under_its_number_alone(strangers):
    with connection() as it:
        strangers(it.socket.fileno())
        current_reactor().close()


@pytest.mark.parametrize("timeout", [0, 0.01, None])
def test_a_reactor_whose_own_descriptor_is_gone_says_so(timeout):
    reactor = Reactor()
    os.close(reactor.fileno())
    with pytest.raises(OSError, match=os.strerror(errno.EBADF)):
        reactor.poll(timeout)
    reactor.close()


def test_the_next_connection_may_get_the_number():
    with connection() as it:
        accepted = []

        def accept(event):
            accepted.append(event.socket)
            event.socket.add_event_listener("socketData", lambda event: event.target.write(event.target.read()))

        server = ServerSocket()
        server.add_event_listener("connect", accept)
        server.bind(0, "127.0.0.1")
        server.listen()
        with server, connect_to("127.0.0.1", server.local_port) as client:
            number = it.socket.fileno()
            os.close(number)
            run_until(it.reactor, lambda: accepted)
            assert accepted[0].fileno() == number
            assert not it.socket.connected
            with pytest.raises(OSError, match="#2002"):
                it.socket.close()
            client.sendall(b"hello")
            assert receive_exactly(it.reactor, client, 5) == b"hello"
            accepted[0].close()


def test_a_duplicate_that_lives_on_does_not_make_the_reactor_spin():
    with connection() as it, connection() as other:
        number = it.socket.fileno()
        duplicate = os.dup(number)
        try:
            os.close(number)
            it.peer.sendall(b"to the duplicate, for ever")
            it.until_event("close")
            assert it.log.types == ["ioError", "close"]
            assert it.log.of("ioError")[0].errno == errno.EBADF
            settle(it.reactor)
            assert sum(it.reactor.poll(0.001) for _ in range(50)) == 0
            other.peer.sendall(b"hello")
            other.until(lambda: other.log.data == b"hello")
        finally:
            os.close(duplicate)


def test_a_loop_goes_on_hosting_a_reactor_that_had_to_begin_anew():
    async def until(predicate):
        while not predicate():  # noqa: ASYNC110
            await asyncio.sleep(0.01)

    async def main():
        logs = []
        accepted = []

        def accept(event):
            accepted.append(event.socket)
            logs.append(Log(event.socket))

        with listening() as server:
            server.add_event_listener("connect", accept)
            clients = []
            for _ in range(2):
                _, writer = await asyncio.open_connection("127.0.0.1", server.local_port)
                clients.append(writer)
            await until(lambda: len(logs) == 2)
            number = accepted[0].fileno()
            duplicate = os.dup(number)
            os.close(number)
            clients[0].write(b"to the duplicate, for ever")
            await until(lambda: logs[0].count("close"))
            await asyncio.sleep(0.05)
            used = time.process_time()
            await asyncio.sleep(0.5)
            assert time.process_time() - used < 0.3
            clients[1].write(b"hello")
            await until(lambda: logs[1].data == b"hello")
            os.close(duplicate)
            for writer in clients:
                writer.close()
            accepted[1].close()

    asyncio.run(asyncio.wait_for(main(), 60))

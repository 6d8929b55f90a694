from __future__ import annotations

import errno
import os

import pytest

from serversocket import Reactor, ServerSocket
from serversocket.reactor import current_reactor

from ..behaviour.helpers import connect_to, connection, on_posix, receive_exactly, run_until

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

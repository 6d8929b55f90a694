from __future__ import annotations

import os

import pytest

from serversocket import ServerSocket
from serversocket.reactor import current_reactor

from ..behaviour.helpers import connection, on_posix

pytestmark = on_posix


@pytest.fixture
def strangers():
    """Closes a descriptor and gives its number to one end of a pipe; in the end, the stranger must still be there."""
    taken = []

    def take(number):
        reading, writing = os.pipe()
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

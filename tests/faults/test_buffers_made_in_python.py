from __future__ import annotations

import socket
import sys

import pytest

from ..behaviour.helpers import connection, run_until

pytestmark = pytest.mark.skipif(sys.version_info < (3, 12), reason="a buffer can be made in Python from 3.12 on")


class Made:
    """A buffer that runs something, once, when it is opened or released."""

    def __init__(self) -> None:
        self.memory = bytearray(100)
        self.opened = self.released = None

    def __buffer__(self, flags: int) -> memoryview:
        action, self.opened = self.opened, None
        if action is not None:
            action()
        return memoryview(self.memory)

    def __release_buffer__(self, view: memoryview) -> None:
        view.release()
        action, self.released = self.released, None
        if action is not None:
            action()


@pytest.mark.parametrize("end", ["close", "abort"])
@pytest.mark.parametrize("number_taken", [False, True])
def test_it_closes_the_socket_when_it_is_opened(end, number_taken, uncaught):
    others = []

    def closing():
        getattr(it.socket, end)()
        if number_taken:
            others.extend(socket.socketpair())
            others[1].sendall(b"not for the socket that was closed")

    with connection() as it:
        it.socket.read_buffer = made = Made()
        made.opened = closing
        it.peer.sendall(b"hello")
        it.until(lambda: not it.socket.connected)
        assert it.log.types == []
        if number_taken:
            assert others[0].recv(100) == b"not for the socket that was closed"
        for other in others:
            other.close()
        assert not uncaught


@pytest.mark.parametrize("last", [b"", b"hello", b"x" * 100])
def test_it_closes_the_socket_when_it_is_released(last, uncaught):
    received = []
    with connection(types=()) as it:
        it.socket.add_event_listener("socketData", lambda event: received.append(event.target.read()))
        it.socket.read_buffer = made = Made()
        made.released = it.socket.close
        if last:
            it.peer.sendall(last)
        else:
            it.peer.shutdown(socket.SHUT_WR)
        it.until(lambda: not it.socket.connected)
        assert b"".join(received) == last
        assert it.socket.bytes_available == 0
        assert not uncaught


def test_it_reads_while_it_is_viewed():
    seen = []

    def view(event):
        made.opened = lambda: seen.append(it.socket.read())
        seen.append(bytes(it.socket.view()))
        made.opened = None
        seen.append(it.socket.read())

    with connection(types=()) as it:
        it.socket.add_event_listener("socketData", view)
        it.socket.read_buffer = made = Made()
        it.peer.sendall(b"hello")
        run_until(it.reactor, lambda: seen)
        assert [text for text in seen if text] == [b"hello"] or seen == [b"hello", b"hello"]

"""What happens when waiting, reading or sending fails on a connection: strace injects the errors."""

from __future__ import annotations

import pytest

from ..behaviour.helpers import on_linux
from .test_failing_accepts import strace_works, with_failing

pytestmark = on_linux


@pytest.fixture(autouse=True)
def _strace():
    if not strace_works():
        pytest.skip("needs an strace that may trace")


@pytest.mark.parametrize("calls", ["epoll_wait,epoll_pwait", "recvfrom", "sendto,sendmsg"])
def test_an_interrupted_call_is_made_again(calls):
    injected = with_failing(
        calls,
        "EINTR",
        "1..5",
        """
        with socket.create_connection(("127.0.0.1", server.local_port), timeout=60) as client:
            until(lambda: logs)
            it, data = logs.pop()
            it.add_event_listener("ioError", lambda event: errors.append(event.errno))
            for number in range(10):
                message = b"%03d" % number * 10
                client.sendall(message)
                until(lambda: len(data) >= len(message))
                assert data == message, data
                data.clear()
                it.write(message)
                it.flush()
                until(lambda: not it.bytes_pending)
                received = b""
                while len(received) < len(message):
                    received += client.recv(100)
                assert received == message, received
            it.close()
        assert errors == [] and closes == [], (errors, closes)
        server.close()
        reactor.run()
        """,
    )
    assert injected == 5


@pytest.mark.parametrize("name", ["EIO", "ENOMEM"])
def test_a_read_that_fails_ends_that_connection_alone(name):
    injected = with_failing(
        "recvfrom",
        name,
        "1",
        f"""
        before = descriptors()
        with socket.create_connection(("127.0.0.1", server.local_port), timeout=60) as client:
            until(lambda: logs)
            it, data = logs.pop()
            told = []
            it.add_event_listener("ioError", lambda event: told.append(event.errno))
            it.add_event_listener("close", lambda event: told.append("close"))
            client.sendall(b"hello")
            until(lambda: "close" in told)
            assert told == [errno.{name}, "close"], told
            assert not it.connected
        assert descriptors() == before
        for _ in range(2):
            serve_one()
        assert errors == [] and closes == [], (errors, closes)
        server.close()
        reactor.run()
        """,
    )
    assert injected == 1

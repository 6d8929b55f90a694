"""The calls that the interpreter makes without a detour are the same calls by keyword, and with too many arguments."""

from __future__ import annotations

import pytest

from .helpers import connection, receive_exactly


def test_reading_and_writing_by_keyword():
    with connection(reading=False) as it:
        it.peer.sendall(b"abc")
        it.until(lambda: it.socket.bytes_available == 3)
        assert it.socket.read(size=1) == b"a"
        assert it.socket.read() == b"bc"
        assert it.socket.write(data=b"answer") == 6
        assert receive_exactly(it.reactor, it.peer, 6) == b"answer"
        it.socket.close()
        assert not it.socket.connected


@pytest.mark.parametrize(
    ("name", "positional", "named"),
    [
        ("read", (1, 2), {}),
        ("read", (1,), {"size": 2}),
        ("read", (), {"amount": 2}),
        ("write", (), {}),
        ("write", (b"a", b"b"), {}),
        ("write", (b"a",), {"data": b"b"}),
        ("write", (), {"text": b"b"}),
        ("close", (1,), {}),
        ("close", (), {"now": True}),
    ],
)
def test_other_arguments_are_type_errors_that_change_nothing(name, positional, named):
    with connection(reading=False) as it:
        it.peer.sendall(b"abc")
        it.until(lambda: it.socket.bytes_available == 3)
        with pytest.raises(TypeError, match=rf"{name}\(\)"):
            getattr(it.socket, name)(*positional, **named)
        assert it.socket.connected
        assert it.socket.peek() == b"abc"
        assert it.socket.bytes_pending == 0

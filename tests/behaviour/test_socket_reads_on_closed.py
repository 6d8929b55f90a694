from __future__ import annotations

import pytest

import serversocket
from serversocket import ByteArray

from .helpers import connection

TYPED_READS = {
    "read_boolean": (),
    "read_byte": (),
    "read_bytes": (ByteArray(), 0, 1),
    "read_double": (),
    "read_float": (),
    "read_int": (),
    "read_multi_byte": (1, "utf-8"),
    "read_short": (),
    "read_unsigned_byte": (),
    "read_unsigned_int": (),
    "read_unsigned_short": (),
    "read_utf": (),
    "read_utf_bytes": (1,),
}


@pytest.fixture
def finished():
    """A connection whose peer has gone and left three bytes."""
    with connection(reading=False) as it:
        it.peer.sendall(b"abc")
        it.peer.close()
        it.until(lambda: it.log.count("close"))
        assert it.socket.bytes_available == 3
        yield it.socket


def test_what_is_left_can_be_read(finished):
    assert finished.peek(2) == b"ab"
    assert finished.read(1) == b"a"
    buffer = bytearray(5)
    assert finished.readinto(buffer) == 2
    assert buffer == b"bc\0\0\0"


def test_when_nothing_is_left_the_reads_of_bytes_give_nothing(finished):
    finished.read()
    for _ in range(2):
        assert finished.read() == b""
        assert finished.read(5) == b""
        assert finished.peek() == finished.view() == b""
        assert finished.skip() == 0
        assert finished.readinto(bytearray(3)) == 0
    assert finished.bytes_available == 0


@pytest.mark.parametrize("call", ["read_double", "read_float", "read_int", "read_unsigned_int"])
def test_too_little_is_an_end_of_file_and_stays(finished, call):
    with pytest.raises(serversocket.EOFError, match=r"^Error #2030: ") as caught:
        getattr(finished, call)()
    assert caught.value.error_id == 2030
    assert isinstance(caught.value, EOFError)
    assert finished.read() == b"abc"


@pytest.mark.parametrize("call", TYPED_READS)
def test_when_nothing_is_left_typed_reads_are_refused(finished, call):
    finished.read()
    with pytest.raises(serversocket.IOError, match=r"^Error #2002: ") as caught:
        getattr(finished, call)(*TYPED_READS[call])
    assert not isinstance(caught.value, EOFError)


def test_typed_reads_go_on_while_anything_is_left(finished):
    assert finished.read_byte() == ord("a")
    assert finished.read_unsigned_short() == 0x6263
    with pytest.raises(serversocket.IOError, match="#2002"):
        finished.read_boolean()


@pytest.mark.parametrize(
    ("call", "arguments"),
    [("write", (b"x",)), ("write_byte", (1,)), ("flush", ()), ("close", ()), ("abort", ()), ("fileno", ())],
)
def test_everything_else_is_refused(finished, call, arguments):
    with pytest.raises(serversocket.IOError, match=r"^Error #2002: "):
        getattr(finished, call)(*arguments)
    assert finished.read() == b"abc"


def test_with_does_not_mind(finished):
    with finished:
        pass
    assert finished.read() == b"abc"


@pytest.mark.parametrize("call", TYPED_READS)
def test_too_little_on_an_open_connection_is_an_end_of_file(call):
    with connection() as it:
        with pytest.raises(serversocket.EOFError, match=r"^Error #2030: "):
            getattr(it.socket, call)(*TYPED_READS[call])
        assert it.socket.connected

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
    with pytest.raises(serversocket.IOError, match=rf"^Error #2002: .* {call}: the socket is not open$") as caught:
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
        with pytest.raises(serversocket.EOFError, match=rf"^Error #2030: .* {call}: \d bytes wanted, 0 available$"):
            getattr(it.socket, call)(*TYPED_READS[call])
        assert it.socket.connected


@pytest.mark.parametrize("size", [5, 2**31, 2**32, 2**63 - 1, 2**63, 2**70, pytest.param(10**5000, id="vast")])
@pytest.mark.parametrize("call", ["read_utf_bytes", "read_multi_byte", "read_bytes"])
def test_any_number_of_bytes_can_be_too_many(call, size):
    with connection(reading=False) as it:
        it.peer.sendall(b"abcd")
        it.until(lambda: it.socket.bytes_available == 4)
        for source in (it.socket, ByteArray(b"abcd")):
            arguments = {
                "read_utf_bytes": (size,),
                "read_multi_byte": (size, "utf-8"),
                "read_bytes": (ByteArray(), 0, size),
            }
            beyond = call == "read_bytes" and size >= 2**32
            with pytest.raises(serversocket.RangeError if beyond else serversocket.EOFError, match=f"{call}: "):
                getattr(source, call)(*arguments[call])
            assert source.bytes_available == 4


@pytest.mark.parametrize(
    ("call", "arguments"),
    [
        ("read_bytes", (None,)),
        ("read_bytes", (ByteArray(), -1)),
        ("read_utf_bytes", (-1,)),
        ("read_utf_bytes", ("1",)),
        ("read_utf_bytes", (2**70,)),
        ("read_multi_byte", (1, None)),
        ("write_byte", ("1",)),
        ("write_short", (None,)),
        ("write_float", ("1",)),
        ("write_bytes", (None,)),
        ("write_bytes", (b"", 1)),
        ("write_utf", ("a" * 70000,)),
        ("write_utf", (None,)),
        ("write_utf_bytes", (1,)),
        ("write_multi_byte", ("x", None)),
        ("write_boolean", (True,)),
        ("write_object", (None,)),
    ],
)
def test_that_the_socket_is_not_open_comes_before_what_is_wrong_with_the_arguments(call, arguments):
    with pytest.raises(serversocket.IOError, match=rf"^Error #2002: .* {call}: the socket is not open$"):
        getattr(serversocket.Socket(), call)(*arguments)


def test_output_that_was_ended_is_told_of_under_the_name_of_the_call():
    with connection() as it:
        it.socket.write_eof()
        with pytest.raises(serversocket.IOError, match=r"^Error #2002: .* write_utf: write_eof was called$"):
            it.socket.write_utf("x")


@pytest.mark.parametrize(
    ("number", "call", "attempt"),
    [
        (2006, "read_bytes", lambda it: it.read_bytes(bytearray(), -1)),
        (2006, "read_bytes", lambda it: it.read_bytes(bytearray(), 0, -1)),
        (2006, "read_utf_bytes", lambda it: it.read_utf_bytes(-1)),
        (2006, "read_multi_byte", lambda it: it.read_multi_byte(-1, "utf-8")),
        (2006, "write_bytes", lambda it: it.write_bytes(b"", 0, -1)),
        (2006, "write_utf", lambda it: it.write_utf("a" * 70000)),
        (2006, "write_random_bytes", lambda it: ByteArray().write_random_bytes(-1)),
        (2006, "uncompress", lambda it: ByteArray().uncompress(max_length=-1)),
        (2006, "position", lambda it: setattr(ByteArray(), "position", -1)),
        (2006, "high_water_mark", lambda it: setattr(it, "high_water_mark", -1)),
        (2008, "endian", lambda it: setattr(it, "endian", "middle")),
        (2008, "object_encoding", lambda it: setattr(it, "object_encoding", 1)),
        (2008, "default_object_encoding", lambda it: setattr(ByteArray, "default_object_encoding", 1)),
    ],
)
def test_errors_of_arguments_name_the_call(number, call, attempt):
    with connection() as it, pytest.raises(ValueError, match=rf"^Error #{number}: .* {call}: "):
        attempt(it.socket)

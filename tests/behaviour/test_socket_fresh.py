from __future__ import annotations

import pytest

import serversocket
from serversocket import ByteArray, Socket

CALLS = {
    "abort": (),
    "close": (),
    "fileno": (),
    "flush": (),
    "peek": (),
    "read": (),
    "read_boolean": (),
    "read_byte": (),
    "read_bytes": (ByteArray(),),
    "read_double": (),
    "read_float": (),
    "read_int": (),
    "read_multi_byte": (0, "utf-8"),
    "read_short": (),
    "read_unsigned_byte": (),
    "read_unsigned_int": (),
    "read_unsigned_short": (),
    "read_utf": (),
    "read_utf_bytes": (0,),
    "readinto": (bytearray(0),),
    "skip": (),
    "view": (),
    "write": (b"",),
    "write_boolean": (True,),
    "write_byte": (1,),
    "write_bytes": (ByteArray(),),
    "write_double": (1.0,),
    "write_float": (1.0,),
    "write_int": (1,),
    "write_multi_byte": ("", "utf-8"),
    "write_short": (1,),
    "write_unsigned_int": (1,),
    "write_utf": ("",),
    "write_utf_bytes": ("",),
}


def test_fresh_socket():
    it = Socket()
    assert (it.connected, it.bytes_available, it.bytes_pending) == (False, 0, 0)
    assert (it.local_address, it.local_port, it.remote_address, it.remote_port) == (None, 0, None, 0)
    assert (it.endian, it.object_encoding, it.timeout, it.tcp_no_delay) == ("bigEndian", 3, 20000, False)


@pytest.mark.parametrize("call", CALLS)
def test_every_call_on_an_unconnected_socket_is_refused(call):
    it = Socket()
    with pytest.raises(serversocket.IOError, match=r"^Error #2002: Operation attempted on invalid socket\.") as caught:
        getattr(it, call)(*CALLS[call])
    assert not isinstance(caught.value, EOFError)
    assert caught.value.error_id == caught.value.errorID == 2002
    assert isinstance(caught.value, OSError)


@pytest.mark.parametrize("call", ["read_object", "write_object"])
def test_object_calls_on_an_unconnected_socket_are_refused(call):
    it = Socket()
    with pytest.raises(serversocket.IOError, match=r"^Error #2002: "):
        getattr(it, call)(*(() if call == "read_object" else ({},)))


def test_with_does_not_mind_that_it_is_not_open():
    with Socket() as it:
        assert not it.connected


def test_properties_are_read_only():
    it = Socket()
    for name in (
        "connected",
        "bytes_available",
        "bytes_pending",
        "local_address",
        "local_port",
        "remote_address",
        "remote_port",
        "reactor",
    ):
        with pytest.raises(AttributeError):
            setattr(it, name, 1)


@pytest.mark.parametrize(
    ("value", "timeout"), [(0, 250), (-5, 250), (249, 250), (250, 250), (251, 251), (10**9, 10**9), (10**400, 2**62)]
)
def test_timeout_is_at_least_250_milliseconds(value, timeout):
    it = Socket()
    it.timeout = value
    assert it.timeout == timeout


@pytest.mark.parametrize("value", [1.5, "1", None, True])
def test_timeout_that_is_no_integer_is_refused(value):
    it = Socket()
    with pytest.raises(TypeError):
        it.timeout = value
    assert it.timeout == 20000


def test_settings_may_be_made_before_connecting():
    it = Socket()
    it.endian, it.object_encoding, it.tcp_no_delay = "littleEndian", 0, True
    assert (it.endian, it.object_encoding, it.tcp_no_delay) == ("littleEndian", 0, True)
    for name, value in (("endian", "middle"), ("object_encoding", 1)):
        with pytest.raises(serversocket.ArgumentError, match=r"^Error #2008: "):
            setattr(it, name, value)
    assert (it.endian, it.object_encoding) == ("littleEndian", 0)


def test_repr_and_text():
    it = Socket()
    assert "not connected" in repr(it)
    assert str(it) == it.to_string() == "[object Socket]"


def test_actionscript_names_work():
    it = Socket()
    for pep8, as3 in {
        "bytes_available": "bytesAvailable",
        "bytes_pending": "bytesPending",
        "local_address": "localAddress",
        "local_port": "localPort",
        "remote_address": "remoteAddress",
        "remote_port": "remotePort",
        "object_encoding": "objectEncoding",
        "read_buffer": "readBuffer",
        "tcp_no_delay": "tcpNoDelay",
    }.items():
        assert getattr(it, pep8) == getattr(it, as3)
        assert as3 in dir(it)
    for name in ("readUTFBytes", "readUTF", "writeUTF", "readUnsignedShort", "writeMultiByte", "addEventListener"):
        assert callable(getattr(it, name))


def test_subclass_that_forgets_init_is_refused_and_does_not_crash():
    class Forgetful(Socket):
        def __init__(self):
            pass

    it = Forgetful()
    for call in CALLS:
        with pytest.raises((RuntimeError, AttributeError, serversocket.IOError)):
            getattr(it, call)(*CALLS[call])
    assert not it.connected

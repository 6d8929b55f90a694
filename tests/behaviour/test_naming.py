"""The rule that gives members their ActionScript names."""

from __future__ import annotations

from typing import Any

import pytest

import serversocket
from serversocket import ByteArray, Event, EventDispatcher, Socket
from serversocket.naming import as3_name, with_as3_names


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("local_port", "localPort"),
        ("read_utf_bytes", "readUTFBytes"),
        ("read_utf", "readUTF"),
        ("write_utf", "writeUTF"),
        ("error_id", "errorID"),
        ("is_supported", "isSupported"),
        ("will_trigger", "willTrigger"),
        ("tcp_no_delay", "tcpNoDelay"),
        ("id", "id"),
        ("utf_thing", "utfThing"),
        ("create_from_base64", "createFromBase64"),
        ("atomic_compare_and_swap_int_at", "atomicCompareAndSwapIntAt"),
        ("close", "close"),
        ("localPort", "localPort"),
        ("SOCKET_DATA", "SOCKET_DATA"),
        ("AMF3", "AMF3"),
        ("_private_name", "_private_name"),
        ("__init__", "__init__"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert as3_name(name) == expected


@with_as3_names
class _Sample:
    DEFAULT_SIZE = 1
    default_size = 2

    def read_utf(self) -> str:
        return "read"

    @property
    def local_port(self) -> int:
        return 80

    @classmethod
    def class_name(cls) -> str:
        return cls.__name__

    @staticmethod
    def is_static() -> bool:
        return True

    def _private_one(self) -> None: ...


@pytest.mark.parametrize("name", ["read_utf", "local_port", "class_name", "is_static", "default_size"])
def test_both_names_are_the_very_same_object(name: str) -> None:
    assert vars(_Sample)[as3_name(name)] is vars(_Sample)[name]


def test_both_names_work_and_are_listed() -> None:
    sample: Any = _Sample()
    assert (sample.readUTF(), sample.localPort, sample.className(), sample.isStatic()) == ("read", 80, "_Sample", True)
    assert {"readUTF", "read_utf", "localPort", "local_port"} <= set(dir(sample))


def test_private_members_and_constants_keep_their_one_name() -> None:
    assert not {"privateOne", "_privateOne", "defaultsize"} & set(dir(_Sample))
    assert [name for name in vars(_Sample) if name.lower() == "default_size"] == ["DEFAULT_SIZE", "default_size"]


def test_inherited_members_are_left_to_their_class() -> None:
    class Child(_Sample):
        def send_all(self) -> None: ...

    with_as3_names(Child)
    assert "sendAll" in vars(Child)
    assert "readUTF" not in vars(Child)


def test_a_class_that_refuses_setattr_is_extended_in_its_own_way() -> None:
    added = []
    cls = with_as3_names(_Sample, lambda cls, name, value: added.append((cls, name, value)))
    assert cls is _Sample
    assert (_Sample, "readUTF", _Sample.read_utf) in added


def test_naming_twice_changes_nothing() -> None:
    before = dict(vars(_Sample))
    assert dict(vars(with_as3_names(_Sample))) == before


class _Told(Event):
    def toString(self) -> str:
        return "told"


def test_what_a_subclass_overrides_under_one_name_it_overrides_under_both() -> None:
    event: Any = _Told("x")
    assert (str(event), repr(event), event.to_string(), event.toString()) == ("told", "<told>", "told", "told")

    class Pythonic(EventDispatcher):
        def has_event_listener(self, type: str) -> bool:
            return True

    assert Pythonic().hasEventListener("x") is True  # type: ignore[attr-defined]

    class Own(Socket):
        bytesAvailable = 5

        def readUTF(self) -> str:
            return "mine"

    socket = Own()
    assert (socket.read_utf(), socket.bytes_available) == ("mine", 5)

    class Five(ByteArray):
        @classmethod
        def createFromBase64(cls, value: str) -> str:
            return "five"

    assert Five.create_from_base64("") == "five"

    class Failure(serversocket.IOError):
        def toString(self) -> str:
            return "failure"

    assert Failure().to_string() == "failure"


def test_both_names_may_be_overridden_apart() -> None:
    class Both(Event):
        def to_string(self) -> str:
            return "pythonic"

        def toString(self) -> str:
            return "air"

    event: Any = Both("x")
    assert (event.to_string(), event.toString(), str(event)) == ("pythonic", "air", "pythonic")


def test_the_nearest_class_decides_what_both_names_mean() -> None:
    class Mixin:
        def toString(self) -> str:
            return "mixed in"

    class Mixed(Mixin, Event):
        pass

    class Further(_Told):
        def to_string(self) -> str:
            return f"{super().toString()} on"  # type: ignore[misc]

    assert str(Mixed("x")) == "mixed in"
    assert str(Further("x")) == Further("x").toString() == "told on"


def test_a_subclass_may_take_part_in_the_making_of_its_own() -> None:
    class Tagged(Socket):
        def __init_subclass__(cls, tag: str) -> None:
            super().__init_subclass__()
            cls.tag = tag  # type: ignore[attr-defined]

    class One(Tagged, tag="one"):
        def readInt(self) -> int:
            return 1

    assert (One.tag, One().read_int()) == ("one", 1)  # type: ignore[attr-defined]


def test_no_other_members_get_a_second_name() -> None:
    class Own(Event):
        def shout_loudly(self) -> None: ...

    assert not hasattr(Own, "shoutLoudly")


PUBLIC = [getattr(serversocket, name) for name in serversocket.__all__]


@pytest.mark.parametrize("cls", [cls for cls in PUBLIC if isinstance(cls, type)])
def test_every_member_of_every_public_class_has_both_names(cls: type) -> None:
    owners = [base for base in (*cls.__mro__, *type(cls).__mro__) if base.__module__.startswith("serversocket")]
    for name in {name for owner in owners for name in vars(owner) if not name.startswith("_")}:
        assert hasattr(cls, as3_name(name))
        assert as3_name(name) in dir(cls)


def test_every_member_of_a_byte_array_has_both_names() -> None:
    public = {name for name in dir(ByteArray) if not name.startswith("_")}
    assert {as3_name(name) for name in public} <= public
    assert {"readUTFBytes", "bytesAvailable", "objectEncoding", "atomicCompareAndSwapLength"} <= public

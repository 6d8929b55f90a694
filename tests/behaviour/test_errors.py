"""The errors: AIR's number and text, the builtin beside it, and what only Python says."""

from __future__ import annotations

import builtins
import copy
import errno
import os
import pickle
import re
import socket
from collections.abc import Callable

import pytest

from serversocket import errors

CLASSES = [
    (errors.IOError, OSError, "Error"),
    (errors.EOFError, builtins.EOFError, "Error"),
    (errors.RangeError, ValueError, "RangeError"),
    (errors.ArgumentError, ValueError, "ArgumentError"),
    (errors.SecurityError, PermissionError, "SecurityError"),
    (errors.MemoryError, builtins.MemoryError, "Error"),
    (errors.DispatchRecursionError, RecursionError, "Error"),
]


def _io_error_class(code: int) -> type[errors.IOError]:
    return type(errors.IOError(errno=code))


MADE: list[tuple[BaseException, type, int]] = [
    (errors.invalid_socket("bind", "127.0.0.1:80", errno.EADDRINUSE), errors.IOError, 2002),
    (errors.invalid_socket("bind", "127.0.0.1:80", errno.EACCES), _io_error_class(errno.EACCES), 2002),
    (errors.broken("recv 127.0.0.1:80", errno.ECONNRESET), _io_error_class(errno.ECONNRESET), 2031),
    (errors.not_open("flush"), errors.IOError, 2002),
    (errors.end_of_file("read", 4, 2), errors.EOFError, 2030),
    (errors.bad_port(70000), errors.RangeError, 2003),
    (errors.security_port(70000), errors.SecurityError, 2003),
    (errors.bad_address("x", "is not an address"), errors.ArgumentError, 2004),
    (errors.bad_argument("create_from_base64", "no"), errors.ArgumentError, 2004),
    (errors.out_of_bounds("listen", "backlog -1 is negative"), errors.RangeError, 2006),
    (errors.not_accepted("endian", "type", "middle", ("big", "little")), errors.ArgumentError, 2008),
    (errors.out_of_memory("length"), errors.MemoryError, 1000),
    (errors.decompression_failed("uncompress", "no"), errors.IOError, 2058),
    (errors.dispatch_overflow(), errors.DispatchRecursionError, 2094),
    (errors.null("listener"), TypeError, 2007),
    (errors.null_reference(), TypeError, 1009),
]


def _named(value: object) -> str:
    """A test's name for a value, the same in every process."""
    return re.sub(r" at 0x[0-9a-f]+", "", errors.shown(value))


@pytest.mark.parametrize(("kind", "builtin", "name"), CLASSES)
def test_each_class_is_a_builtin_too(kind: type[Exception], builtin: type[Exception], name: str) -> None:
    error = kind("a message", 7)
    assert isinstance(error, builtin)
    assert (str(error), error.message, error.args) == ("a message", "a message", ("a message",))
    assert (error.error_id, error.errorID) == (7, 7)
    assert error.name == name
    assert error.to_string() == error.toString() == f"{name}: a message"


@pytest.mark.parametrize(("kind", "_builtin", "name"), CLASSES)
def test_each_class_can_be_made_without_arguments(kind: type[Exception], _builtin: object, name: str) -> None:
    error = kind()
    assert (str(error), error.error_id, error.to_string()) == ("", 0, name)
    assert kind(message="m", error_id=1).error_id == 1


def test_an_error_of_a_wrong_type_has_what_airs_programs_read() -> None:
    error = errors.wrong_type("port", "80", "an int")
    assert type(error) is TypeError
    assert (error.message, error.errorID) == (str(error), 0)  # type: ignore[attr-defined]


def test_the_end_of_file_is_caught_as_io_error_too() -> None:
    with pytest.raises(errors.IOError):
        raise errors.end_of_file("read", 1, 0)


@pytest.mark.parametrize("kind", [errors.IOError, errors.EOFError, errors.SecurityError])
def test_the_systems_number_and_reason_are_none_unless_given(kind: type[errors.IOError]) -> None:
    assert (kind("m").errno, kind("m").strerror) == (None, None)
    error = kind("m", 2002, errno=errno.EACCES, strerror="no")
    assert (error.errno, error.strerror, str(error)) == (errno.EACCES, "no", "m")


def test_the_number_cannot_be_changed() -> None:
    with pytest.raises(AttributeError):
        errors.IOError("m", 1).error_id = 2  # type: ignore[misc]


@pytest.mark.parametrize(("error", "kind", "number"), MADE)
def test_each_message_begins_with_airs_text(error: BaseException, kind: type, number: int) -> None:
    assert type(error) is kind
    assert error.error_id == error.errorID == number  # type: ignore[attr-defined]
    text = errors.MESSAGES[number].partition("{}")
    assert str(error).startswith(f"Error #{number}: {text[0]}")
    assert error.message == str(error)  # type: ignore[attr-defined]


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))])
@pytest.mark.parametrize("error", [entry[0] for entry in MADE])
def test_errors_survive_copy_and_pickle(error: BaseException, again: Callable[[BaseException], BaseException]) -> None:
    twin = again(error)
    assert type(twin) is type(error)
    for name in ("message", "error_id", "errno", "strerror", "args"):
        assert getattr(twin, name, "absent") == getattr(error, name, "absent")
    assert str(twin) == str(error)


AGAIN = [copy.copy, copy.deepcopy, lambda error: pickle.loads(pickle.dumps(error))]
BUILTINS = {
    "EPERM": PermissionError,
    "EACCES": PermissionError,
    "ENOENT": FileNotFoundError,
    "EEXIST": FileExistsError,
    "EINTR": InterruptedError,
    "EAGAIN": BlockingIOError,
    "EINPROGRESS": BlockingIOError,
    "ECONNREFUSED": ConnectionRefusedError,
    "ECONNRESET": ConnectionResetError,
    "ECONNABORTED": ConnectionAbortedError,
    "EPIPE": BrokenPipeError,
    "ESHUTDOWN": BrokenPipeError,
    "ETIMEDOUT": TimeoutError,
}


@pytest.mark.parametrize("name", BUILTINS)
@pytest.mark.parametrize("make", [errors.invalid_socket, lambda call, detail, code: errors.broken(call, code)])
def test_an_io_error_is_caught_as_pythons_own(name: str, make: Callable[..., errors.IOError]) -> None:
    builtin, code = BUILTINS[name], getattr(errno, name)
    for error in (make("call", "detail", code), make("call", "detail", OSError(code, "reason"))):
        with pytest.raises(builtin) as caught:
            raise error
        assert isinstance(caught.value, errors.IOError)
        assert type(error).__name__ == builtin.__name__
        assert (error.errno, error.name) == (code, "Error")


@pytest.mark.parametrize("code", sorted(errno.errorcode))
def test_every_number_has_the_class_that_python_gives_it_and_no_other(code: int) -> None:
    error = errors.IOError("m", 2002, errno=code, strerror="reason")
    builtin = type(OSError(code, "reason"))
    assert isinstance(error, builtin)
    assert isinstance(error, errors.IOError)
    assert (type(error) is errors.IOError) is (builtin is OSError)
    others = {each for each in BUILTINS.values() if not issubclass(builtin, each)}
    assert not [each for each in others if isinstance(error, each)]
    for again in AGAIN:
        twin = again(error)
        assert type(twin) is type(error)
        assert (twin.errno, twin.strerror, twin.error_id) == (code, "reason", 2002)
        assert (twin.message, twin.args) == ("m", ("m",))


def test_an_error_of_a_look_up_is_a_gaierror_whatever_its_number_means_elsewhere() -> None:
    for number in (socket.EAI_NONAME, socket.EAI_AGAIN, errno.EPERM, errno.ECONNREFUSED):
        error = errors.broken("connect nowhere:80", socket.gaierror(number, "not known"))
        assert isinstance(error, socket.gaierror)
        assert isinstance(error, errors.IOError)
        assert not isinstance(error, (PermissionError, ConnectionError))
        assert (error.errno, error.strerror, error.error_id) == (number, "not known", 2031)
        assert str(error) == "Error #2031: Socket Error. connect nowhere:80: not known"
        for again in AGAIN:
            twin = again(error)
            assert (type(twin), twin.errno, str(twin)) == (type(error), number, str(error))


class _OfAProgram(errors.IOError):
    def __init__(self, host: str, port: int = 0, *, code: int = errno.ECONNREFUSED) -> None:
        super().__init__(f"{host}:{port}", 7, errno=code, strerror="reason")


def test_a_class_that_a_program_derives_stays_itself() -> None:
    error = _OfAProgram("host", 80, code=errno.ECONNRESET)
    assert type(error) is _OfAProgram
    assert (error.args, error.errno, error.strerror) == (("host:80",), errno.ECONNRESET, "reason")
    assert (error.filename, error.message, error.error_id) == (None, "host:80", 7)


@pytest.mark.parametrize("kind", [errors.EOFError, errors.SecurityError])
def test_a_number_makes_another_class_of_io_error_alone(kind: type[errors.IOError]) -> None:
    assert type(kind("m", errno=errno.EPIPE)) is kind


def test_the_message_says_the_call_the_address_and_the_systems_reason() -> None:
    error = errors.invalid_socket("bind", "127.0.0.1:80", errno.EACCES)
    assert str(error) == (
        "Error #2002: Operation attempted on invalid socket. bind 127.0.0.1:80: " + os.strerror(errno.EACCES)
    )
    assert (error.errno, error.strerror) == (errno.EACCES, os.strerror(errno.EACCES))


@pytest.mark.parametrize(
    ("cause", "number", "reason"),
    [
        (OSError(errno.EPIPE, "pipe"), errno.EPIPE, "pipe"),
        (OSError("only words"), None, "only words"),
        (TimeoutError(), None, "TimeoutError"),
    ],
)
def test_a_cause_gives_its_number_and_reason(cause: OSError, number: int | None, reason: str) -> None:
    error = errors.invalid_socket("connect", "[::1]:80", cause)
    assert (error.errno, error.strerror) == (number, reason)
    assert str(error).endswith(f"connect [::1]:80: {reason}")


def test_without_a_cause_the_detail_is_the_reason() -> None:
    assert str(errors.invalid_socket("listen", "not bound")).endswith("invalid socket. listen: not bound")
    assert str(errors.invalid_socket("listen")).endswith("invalid socket. listen")
    assert errors.invalid_socket("listen", "not bound").errno is None


def test_airs_text_names_the_parameter() -> None:
    assert str(errors.null("listener")) == "Error #2007: Parameter listener must be non-null."
    assert str(errors.not_accepted("endian", "type", 1, ("big", "little"))) == (
        "Error #2008: Parameter type must be one of the accepted values. endian: 1 is none of 'big', 'little'"
    )


class _Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    "value", ["x" * 70_000, 10**6000, _Hostile(), [[[[[[]]]]]] * 100, "\ud800\0\n", b"y" * 9999], ids=_named
)
def test_a_message_shows_any_value_in_short(value: object) -> None:
    text = str(errors.wrong_type("port", value, "an int"))
    assert text.startswith("port must be an int, not ")
    assert type(value).__name__ in text
    assert len(text) < 300
    assert text.isprintable()

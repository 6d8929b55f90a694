"""AIR's errors: each with AIR's number and text, and each also a subclass of the builtin that Python programs catch.

Every message is made here. It begins with AIR's own text and adds what AIR leaves out: the call, the refused value or
the address and port, and the system's reason.
"""

from __future__ import annotations

import builtins
import errno
import os
import reprlib
import socket
from collections.abc import Iterable
from typing import Any, Self

from .naming import with_as3_names

__all__ = [
    "ArgumentError",
    "DispatchRecursionError",
    "EOFError",
    "IOError",
    "MemoryError",
    "RangeError",
    "SecurityError",
]

MESSAGES: dict[int, str] = {
    1000: "The system is out of memory.",
    1009: "Cannot access a property or method of a null object reference.",
    2002: "Operation attempted on invalid socket.",
    2003: "Invalid socket port number specified.",
    2004: "One of the parameters is invalid.",
    2006: "The supplied index is out of bounds.",
    2007: "Parameter {} must be non-null.",
    2008: "Parameter {} must be one of the accepted values.",
    2010: "Local-with-filesystem SWF files are not permitted to use sockets.",
    2011: "Socket connection failed to {}:{}.",
    2030: "End of file was encountered.",
    2031: "Socket Error.",
    2032: "Stream Error.",
    2044: "Unhandled {}:.",
    2048: "Security sandbox violation: {} cannot load data from {}.",
    2058: "There was an error decompressing the data.",
    2094: "Event dispatch recursion overflow.",
}


def text(error_id: int, *parameters: object, detail: str = "") -> str:
    """Returns AIR's text of an error, followed by the details.

    Args:
        error_id: AIR's number; one of `MESSAGES`.
        parameters: The values for the placeholders in AIR's text, in order.
        detail: What to add to AIR's text.

    Example:
        >>> text(2007, "listener")
        'Error #2007: Parameter listener must be non-null.'
    """
    return f"Error #{error_id}: {MESSAGES[error_id].format(*parameters)} {detail}".rstrip()


# ---------------------------------------------------------------------------------------------------- classes


@with_as3_names
class _AIRError(BaseException):
    """The base of all of AIR's errors, those of ``flash.errors`` and the top-level ones.

    Args:
        message: The text, as AIR's programs read it.
        error_id: AIR's number of the error, 0 for one that a program makes itself.
    """

    name: str = "Error"
    """AIR's name of the class, shown before the message by `to_string()`: ``Error.name``."""

    message: str
    """The text: ``Error.message``."""

    def __init__(self, message: str = "", error_id: int = 0) -> None:
        super().__init__(message)
        self.message = str(message)
        self._error_id = error_id

    @property
    def error_id(self) -> int:
        """AIR's number of the error. AIR: ``Error.errorID``."""
        return self._error_id

    def to_string(self) -> str:
        """Returns the name and the message. AIR: ``Error.toString()``.

        Example:
            >>> RangeError("Error #2006: too large", 2006).to_string()
            'RangeError: Error #2006: too large'
        """
        return f"{self.name}: {self.message}" if self.message else self.name

    def __str__(self) -> str:
        return self.message

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self._error_id), self.__dict__


class _SystemError(_AIRError, OSError):
    """An error with the system's number and reason, `None` where the system gave none."""

    def __new__(cls, *arguments: object, errno: int | None = None, **options: object) -> Self:
        # The same way as `OSError`, whose own table maps numbers to classes.
        kind: type[Any] = _of_python.get(type(OSError(errno, "")), cls) if cls is IOError else cls
        made: Self = super().__new__(kind)
        return made

    def __init__(
        self, message: str = "", error_id: int = 0, *, errno: int | None = None, strerror: str | None = None
    ) -> None:
        super().__init__(message, error_id)
        self.args = (message,)  # OSError sets them in `__new__`
        self.errno = errno
        self.strerror = strerror

    def __reduce__(self) -> tuple[object, ...]:
        state = {**self.__dict__, "errno": self.errno, "strerror": self.strerror}
        return type(self), (self.message, self._error_id), state


class IOError(_SystemError):
    """The system refused a call, or the object is in the wrong state; an `OSError`. AIR: ``flash.errors.IOError``.

    If Python has a class for the system's error number, the error is of that class too: `ConnectionRefusedError`,
    `ConnectionResetError`, `BrokenPipeError`, `TimeoutError`, `PermissionError` and so on. If a host name cannot be
    resolved, it is a `socket.gaierror`, with a number such as ``socket.EAI_NONAME``.

    Args:
        message: The text.
        error_id: AIR's number of the error.
        errno: The system's number of the error, if it gave one.
        strerror: The system's reason, if it gave one.

    Example:
        >>> import errno
        >>> error = IOError("no", errno=errno.ECONNREFUSED)
        >>> isinstance(error, ConnectionRefusedError), type(error).__name__
        (True, 'ConnectionRefusedError')
    """


class EOFError(IOError, builtins.EOFError):
    """Fewer bytes are available than requested; nothing was consumed. AIR: ``flash.errors.EOFError``.

    Args:
        message: The text.
        error_id: AIR's number of the error.
        errno: The system's number of the error, if it gave one.
        strerror: The system's reason, if it gave one.

    Example:
        >>> data = ByteArray(b"1")
        >>> try:
        ...     data.read_int()
        ... except EOFError as error:
        ...     print(error.error_id, data.bytes_available)
        2030 1
    """


class SecurityError(_SystemError, builtins.PermissionError):
    """The port to connect to is outside 0 to 65535; a `PermissionError`. AIR: ``SecurityError``.

    Args:
        message: The text.
        error_id: AIR's number of the error.
        errno: The system's number of the error, if it gave one.
        strerror: The system's reason, if it gave one.

    Example:
        >>> try:
        ...     Socket().connect("127.0.0.1", 65536)
        ... except SecurityError as error:
        ...     print(error.error_id)
        2003
    """

    name = "SecurityError"


class RangeError(_AIRError, ValueError):
    """A number is outside its range; a `ValueError`. AIR: ``RangeError``.

    Args:
        message: The text.
        error_id: AIR's number of the error.

    Example:
        >>> try:
        ...     ServerSocket().bind(65536)
        ... except RangeError as error:
        ...     print(error)
        Error #2003: Invalid socket port number specified. bind: port 65536 is outside 0 to 65535
    """

    name = "RangeError"


class ArgumentError(_AIRError, ValueError):
    """A value is not one of the accepted ones; a `ValueError`. AIR: ``ArgumentError``.

    Args:
        message: The text.
        error_id: AIR's number of the error.

    Example:
        >>> try:
        ...     ServerSocket().bind(0, "localhost")
        ... except ArgumentError as error:
        ...     print(error.error_id)
        2004
    """

    name = "ArgumentError"


class MemoryError(_AIRError, builtins.MemoryError):
    """There is not enough memory; a builtin `MemoryError`. AIR: ``flash.errors.MemoryError``.

    Args:
        message: The text.
        error_id: AIR's number of the error.

    Example:
        >>> data = ByteArray()
        >>> try:
        ...     data.length = 2**32
        ... except MemoryError as error:
        ...     print(error.error_id)
        1000
    """


class DispatchRecursionError(_AIRError, RecursionError):
    """Too many nested dispatches; a `RecursionError`. AIR: ``Error`` #2094.

    Args:
        message: The text.
        error_id: AIR's number of the error.

    Example:
        >>> dispatcher = EventDispatcher()
        >>> def again(event):
        ...     try:
        ...         dispatcher.dispatch_event(Event("again"))
        ...     except DispatchRecursionError as error:
        ...         print(error.error_id)
        >>> dispatcher.add_event_listener("again", again)
        >>> dispatcher.dispatch_event(Event("again"))
        2094
        True
    """


def _also(builtin: type[OSError]) -> type[IOError]:
    """Makes a class of the same name that is both an `IOError` and one of Python's own classes."""
    name = builtin.__name__
    return type(name, (IOError, builtin), {"__module__": __name__, "__doc__": f"An `IOError`, and a `{name}`."})


_of_python = {builtin: _also(builtin) for builtin in {type(OSError(code, "")) for code in errno.errorcode} - {OSError}}
_gaierror = _also(socket.gaierror)
globals().update((kind.__name__, kind) for kind in (*_of_python.values(), _gaierror))  # where pickle looks for them


# -------------------------------------------------------------------------------------------- making errors


class _Shortener(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 80


def shown(value: object) -> str:
    """Returns a value as messages show it: its `repr`, shortened. Never raises."""
    try:
        return _Shortener().repr(value)
    except Exception:  # such as an int of more digits than Python converts
        return f"<{type(value).__name__}>"


def invalid_socket(call: str, detail: str = "", cause: OSError | int | None = None) -> IOError:
    """#2002: the system refused a call, or the object is in the wrong state for it.

    Args:
        call: The call that failed, such as ``bind``.
        detail: With a cause: the address and port, or what else the call refers to. Without: the reason in words.
        cause: The system's error or its number.

    Example:
        >>> import errno
        >>> print(invalid_socket("bind", "127.0.0.1:80", errno.EACCES))
        Error #2002: Operation attempted on invalid socket. bind 127.0.0.1:80: Permission denied
        >>> print(invalid_socket("listen", "not bound"))
        Error #2002: Operation attempted on invalid socket. listen: not bound
    """
    if cause is None:
        return IOError(text(2002, detail=f"{call}: {detail}" if detail else call), 2002)
    return _caused(2002, f"{call} {detail}" if detail else call, cause)


def broken(what: str, cause: OSError | int) -> IOError:
    """#2031: a connection broke or could not be established.

    Args:
        what: The operation and the peer's address and port.
        cause: The system's error or its number; for a look-up, the `socket.gaierror`.

    Example:
        >>> import errno
        >>> print(broken("recv 127.0.0.1:80", errno.ECONNRESET))
        Error #2031: Socket Error. recv 127.0.0.1:80: Connection reset by peer
    """
    return _caused(2031, what, cause)


def _caused(error_id: int, what: str, cause: OSError | int) -> IOError:
    if isinstance(cause, OSError):
        number, reason = cause.errno, cause.strerror or str(cause) or type(cause).__name__
    else:
        number, reason = cause, os.strerror(cause)
    kind = _gaierror if isinstance(cause, socket.gaierror) else IOError  # look-ups have error numbers of their own
    return kind(text(error_id, detail=f"{what}: {reason}"), error_id, errno=number, strerror=reason)


def not_open(call: str) -> IOError:
    """#2002: a call on a socket that is not open."""
    return invalid_socket(call, "the socket is not open")


def over_limit(call: str, size: int, kept: int, name: str, limit: int) -> IOError:
    """#2002: the connection would hold more data than a limit allows."""
    detail = f"{size} bytes on top of {kept}: {name} is {limit}"
    return invalid_socket(call, detail, errno.ENOBUFS)


def end_of_file(call: str, wanted: int, available: int) -> EOFError:
    """#2030: a read of more bytes than are available."""
    return EOFError(text(2030, detail=f"{call}: {shown(wanted)} bytes wanted, {available} available"), 2030)


def no_separator(call: str, separator: bytes, available: int) -> EOFError:
    """#2030: the stream ended inside a message."""
    return EOFError(text(2030, detail=f"{call}: no {separator!r} in the last {available} bytes"), 2030)


def another_loop() -> RuntimeError:
    """A coroutine awaits an object of another event loop; the builtin `RuntimeError`."""
    return RuntimeError("the awaited object belongs to another loop than the one that is running")


def bad_port(value: int, what: str = "bind: port") -> RangeError:
    """#2003: a local port is outside 0 to 65535."""
    return RangeError(text(2003, detail=f"{what} {shown(value)} is outside 0 to 65535"), 2003)


def security_port(value: int) -> SecurityError:
    """#2003: the port to connect to is outside 0 to 65535."""
    return SecurityError(text(2003, detail=f"connect: port {shown(value)} is outside 0 to 65535"), 2003)


def bad_address(value: object, why: str, call: str = "bind") -> ArgumentError:
    """#2004: an address or a host name is not well formed."""
    return ArgumentError(text(2004, detail=f"{call}: {shown(value)} {why}"), 2004)


def out_of_bounds(call: str, detail: str) -> RangeError:
    """#2006: a number or an offset is outside its range."""
    return RangeError(text(2006, detail=f"{call}: {detail}"), 2006)


def not_accepted(call: str, parameter: str, value: object, accepted: Iterable[object]) -> ArgumentError:
    """#2008: a value is not one of the accepted ones.

    Example:
        >>> print(not_accepted("object_encoding", "version", 7, (0, 3)))
        Error #2008: Parameter version must be one of the accepted values. object_encoding: 7 is none of 0, 3
    """
    detail = f"{call}: {shown(value)} is none of {', '.join(map(shown, accepted))}"
    return ArgumentError(text(2008, parameter, detail=detail), 2008)


def bad_argument(call: str, detail: str) -> ArgumentError:
    """#2004: a parameter is malformed."""
    return ArgumentError(text(2004, detail=f"{call}: {detail}"), 2004)


def out_of_memory(call: str) -> MemoryError:
    """#1000: there is not enough memory for the call."""
    return MemoryError(text(1000, detail=call), 1000)


def decompression_failed(call: str, reason: object) -> IOError:
    """#2058: the data cannot be decompressed, or the algorithm does not exist."""
    return IOError(text(2058, detail=f"{call}: {reason}"), 2058)


def dispatch_overflow() -> DispatchRecursionError:
    """#2094: too many nested dispatches."""
    return DispatchRecursionError(text(2094), 2094)


def null(parameter: str) -> builtins.TypeError:
    """#2007: a parameter is `None` and must not be; the builtin `TypeError` with AIR's ``error_id``."""
    return _numbered(text(2007, parameter), 2007)


def null_reference(detail: str = "") -> builtins.TypeError:
    """#1009: an object is needed and `None` was given; the builtin `TypeError` with AIR's ``error_id``."""
    return _numbered(text(1009, detail=detail), 1009)


def wrong_type(parameter: str, value: object, expected: str) -> builtins.TypeError:
    """A value has the wrong type; the builtin `TypeError`. AIR converts instead of raising, so `error_id` is 0.

    Example:
        >>> print(wrong_type("local_port", "80", "an int"))
        local_port must be an int, not '80' (str)
    """
    return _numbered(f"{parameter} must be {expected}, not {shown(value)} ({type(value).__name__})", 0)


def coroutine_function(parameter: str, value: object) -> builtins.TypeError:
    """A coroutine function was passed where its coroutines would never be awaited; the builtin `TypeError`."""
    detail = f"not the coroutine function {shown(value)}, whose coroutines would never be awaited"
    return _numbered(f"{parameter} must be a plain function, {detail}: use serversocket.aio for coroutines", 0)


def no_copies(owner: object) -> builtins.TypeError:
    """An object with listeners or a descriptor cannot be copied or pickled; the builtin `TypeError`."""
    return TypeError(f"cannot copy or pickle {type(owner).__name__!r} object")


def _numbered(message: str, error_id: int) -> builtins.TypeError:
    error = TypeError(message)
    vars(error).update(error_id=error_id, errorID=error_id, message=message)
    return error

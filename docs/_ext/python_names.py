"""Where the documentation of Python, trio and anyio describes a name. No page has to be fetched for that."""

from __future__ import annotations

import builtins
import importlib
import sys

PYTHON = "https://docs.python.org/3/library"

#: Of modules whose names stand on several pages, those that ours name.
_PAGES = {
    "asyncio.CancelledError": "asyncio-exceptions",
    "asyncio.Protocol": "asyncio-protocol",
    "asyncio.Runner": "asyncio-runner",
    "asyncio.run": "asyncio-runner",
    "asyncio.create_task": "asyncio-task",
    "asyncio.gather": "asyncio-task",
    "asyncio.sleep": "asyncio-task",
    "asyncio.timeout": "asyncio-task",
    "asyncio.TaskGroup": "asyncio-task",
    "asyncio.open_connection": "asyncio-stream",
    "asyncio.start_server": "asyncio-stream",
    "concurrent.futures.Future": "concurrent.futures",
    "collections.abc.Buffer": "collections.abc",
    "collections.abc.Callable": "collections.abc",
    "collections.abc.Coroutine": "collections.abc",
}
#: Names of the standard library that signatures show without their module.
_SHORT = {
    "Any": "typing.Any",
    "Buffer": "collections.abc.Buffer",
    "Callable": "collections.abc.Callable",
    "Coroutine": "collections.abc.Coroutine",
    "Future": "concurrent.futures.Future",
    "IPv4Address": "ipaddress.IPv4Address",
    "IPv6Address": "ipaddress.IPv6Address",
    "Mapping": "collections.abc.Mapping",
    "Self": "typing.Self",
    "SupportsBytes": "typing.SupportsBytes",
    "SupportsIndex": "typing.SupportsIndex",
    "Thread": "threading.Thread",
}
_FUNCTIONS = {"open", "print", "repr", "memoryview", "len", "id"}
_STANDARD_TYPES = {"bool", "bytearray", "bytes", "dict", "float", "int", "list", "memoryview", "set", "str", "tuple"}


def address(name: str, *, of_text: bool = False) -> str | None:
    """The address that describes a name, or None where that is not known.

    Args:
        name: Such as `OSError`, `asyncio.timeout`, `SupportsIndex`.
        of_text: It stands in a text, where only what is sure to mean Python's is taken for that.
    """
    if name in ("None", "True", "False"):
        return f"{PYTHON}/constants.html#{name}"
    if not of_text:
        name = _SHORT.get(name, name.replace("typing_extensions.Buffer", "collections.abc.Buffer"))
    name = name.removeprefix("builtins.")
    value = getattr(builtins, name, None)
    if isinstance(value, type) and issubclass(value, BaseException):
        return f"{PYTHON}/exceptions.html#{value.__name__}"
    if name in _STANDARD_TYPES and not of_text:
        return f"{PYTHON}/{'functions' if name in ('int', 'float', 'bool') else 'stdtypes'}.html#{name}"
    if name in ("object", "type") and not of_text:
        return f"{PYTHON}/functions.html#{name}"
    module, _, attribute = name.rpartition(".")
    if module in ("trio", "trio.abc", "trio.lowlevel"):
        page = {"trio": "core", "trio.abc": "io", "trio.lowlevel": "lowlevel"}[module]
        return f"https://trio.readthedocs.io/en/stable/reference-{page}.html"
    if name.removeprefix("PySide6.QtCore.") in ("QObject", "QCoreApplication"):
        return f"https://doc.qt.io/qtforpython-6/PySide6/QtCore/{name.rpartition('.')[2]}.html"
    if module in ("anyio", "anyio.abc"):
        return f"https://anyio.readthedocs.io/en/stable/api.html#{name}"
    return _standard(name, module, attribute, of_text) if module else None


def _standard(name: str, module: str, attribute: str, of_text: bool) -> str | None:
    if module.partition(".")[0] not in sys.stdlib_module_names:
        return None
    if of_text and module == "socket" and attribute.islower() and attribute != "gaierror":
        return None  # a variable
    try:
        found = hasattr(importlib.import_module(module), attribute)
    except ImportError:
        return None
    if not found and name not in _PAGES:
        return None
    return f"{PYTHON}/{_PAGES.get(name, module)}.html#{name}"

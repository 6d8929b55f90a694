"""The public names of the package, read from the running package: what a page may name, and where that is described.

Nothing here knows how the package is divided into modules: a name is public where a module that programs import lists
it, and the ActionScript name of a member is the one under which its class has the same object.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

import serversocket

#: What programs import from. Those of a library that is not there are left out, with their names.
MODULES = (
    "serversocket",
    "serversocket.aio",
    "serversocket.errors",
    "serversocket.hosts",
    "serversocket.hosts.gevent",
    "serversocket.hosts.glib",
    "serversocket.hosts.qt",
    "serversocket.hosts.tk",
    "serversocket.aio.anyio",
    "serversocket.aio.trio",
)
#: Classes that have no place to be imported from: what these methods return.
HANDLES = {"TimerHandle": ("Reactor", "call_later"), "SignalHandle": ("Reactor", "on_signal")}

#: What stands for these in programs, as in `socket.read()`.
VARIABLES = {"background", "client", "dispatcher", "event", "handle", "reactor", "server", "socket", "supervisor"}
#: Where a bare name may be from; functions of the latter ones are named with their module.
PREFIXES = ("", "serversocket.", "serversocket.aio.", "serversocket.errors.", "serversocket.hosts.")
#: Their members are named as those of the classes that they adapt: a bare name means those.
ADAPTERS = {"serversocket.aio.anyio", "serversocket.aio.trio"}

_AIR = re.compile(r"AIR: ``([\w.]+)(?:\(\))?``")


@dataclass
class Member:
    """A member of a public class, where it is described."""

    owner: PublicClass
    name: str
    value: Any = field(repr=False)

    @property
    def full_name(self) -> str:
        return f"{self.owner.full_name}.{self.name}"

    @property
    def doc(self) -> str:
        known = inspect.isdatadescriptor(self.value) or inspect.isroutine(self.value)
        return inspect.getdoc(self.value) or "" if known else ""

    @property
    def kind(self) -> str:
        """As autodoc calls it."""
        if isinstance(self.value, property):
            return "property"
        return "method" if inspect.isroutine(self.value) else "attribute"

    @property
    def as3_name(self) -> str:
        """The name in ActionScript; the same where that is one word or a constant."""
        return self.owner.aliases.get(self.name, self.name)

    @property
    def is_airs(self) -> bool:
        """Returns True if AIR has this member; others are additions, under both kinds of names."""
        return bool(_AIR.search(self.doc))


class PublicClass:
    """A public class, with the members that are described there."""

    def __init__(self, cls: type, module: str) -> None:
        self.cls = cls
        self.module = module
        self.name = cls.__name__
        self.full_name = f"{module}.{cls.__name__}"
        self.aliases = dict(_aliases(cls))
        self.members: dict[str, Member] = {}

    @property
    def air_name(self) -> str | None:
        """AIR's class, as its docstring says."""
        found = _AIR.search(inspect.getdoc(self.cls) or "")
        return found[1] if found else None

    def fill(self, classes: dict[type, PublicClass]) -> None:
        own = [base for base in self.cls.__mro__ if classes.get(base) in (self, None) and _is_ours(base)]
        above = [base for base in classes if base is not self.cls and issubclass(self.cls, base)]
        own = [base for base in own if not any(issubclass(other, base) for other in above)]
        for base in own:
            for name in (*vars(base), *vars(base).get("__annotations__", ())):
                if name.startswith("_") or name in self.members or name in self.aliases.values():
                    continue
                if hasattr(self.cls, name):
                    self.members[name] = Member(self, name, inspect.getattr_static(self.cls, name))
                elif name in vars(base).get("__annotations__", ()):  # it is set when an object is made
                    self.members[name] = Member(self, name, None)


def _is_ours(cls: type) -> bool:
    return cls.__module__.partition(".")[0] == "serversocket"


def _aliases(cls: type) -> Iterator[tuple[str, str]]:
    """The PEP 8 and the ActionScript name of each member that has two."""
    plain = {name.replace("_", "").lower(): name for name in dir(cls) if "_" in name and name.islower()}
    for name in dir(cls):
        if not name.startswith("_") and "_" not in name and not name.islower() and not name.isupper():
            other = plain.get(name.lower())
            if (other and inspect.getattr_static(cls, name) is inspect.getattr_static(cls, other)) or other:
                yield other, name


def importable(names: tuple[str, ...] = MODULES) -> Iterator[ModuleType]:
    for name in names:
        try:
            yield importlib.import_module(name)
        except ImportError as missing:
            if (missing.name or "").startswith("serversocket"):
                raise


class Names:
    """All of them, and which one a text means."""

    def __init__(self) -> None:
        self.objects: dict[str, Any] = {}
        self.classes: dict[str, PublicClass] = {}
        by_type: dict[type, PublicClass] = {}
        known: dict[int, str] = {}
        for module in importable():
            public = getattr(module, "__all__", ())
            for name in public:
                value = getattr(module, name)
                full_name = f"{module.__name__}.{name}"
                if inspect.ismodule(value) or name.startswith("__") or id(value) in known:
                    continue
                self.objects[full_name] = value
                if isinstance(value, type):
                    known[id(value)] = full_name
                    by_type[value] = self.classes[full_name] = PublicClass(value, module.__name__)
                elif callable(value):
                    known[id(value)] = full_name
        for name, cls in handles().items():
            full_name = f"serversocket.{name}"
            self.objects[full_name] = cls
            by_type[cls] = self.classes[full_name] = PublicClass(cls, "serversocket")
        for each in self.classes.values():
            each.fill(by_type)
        self._by_type = by_type
        self._by_member: dict[str, list[Member]] = {}
        for each in self.classes.values():
            for member in each.members.values():
                for name in {member.name, member.as3_name}:
                    self._by_member.setdefault(name, []).append(member)

    def members(self) -> Iterator[Member]:
        for each in self.classes.values():
            yield from each.members.values()

    def of_type(self, cls: type) -> str | None:
        """The public name of a class."""
        return self._by_type[cls].full_name if cls in self._by_type else None

    def behind(self, name: str) -> str | None:
        """The one public class that stands for a base behind it, which has that name."""
        found = {
            each.full_name
            for cls, each in self._by_type.items()
            if any(base.__name__ == name and _is_ours(base) for base in cls.__mro__)
        }
        return found.pop() if len(found) == 1 else None

    def member(self, cls: type, name: str) -> str | None:
        """Where a member of a class is described, under either of its names: there, or in a class that it stands on."""
        for base in cls.__mro__:
            each = self._by_type.get(base)
            if each is not None:
                plain = next((plain for plain, alias in each.aliases.items() if alias == name), name)
                if plain in each.members:
                    return each.members[plain].full_name
        return None

    def resolve(self, text: str, contexts: tuple[str, ...] = ()) -> str | None:
        """The full name of what a text names, or None where that is nothing public, or could be several.

        Args:
            text: As it stands in a page: `Socket.write`, `aio.listen(port, host)`, `local_port`, `readUTF`.
            contexts: Full names of classes whose members are meant first.
        """
        text = text.strip().removeprefix("await ").removeprefix("async with ")
        name = re.sub(r"\(.*\)$", "", text, flags=re.DOTALL)
        if not re.fullmatch(r"\w+(\.\w+)*", name):
            return None
        *before, last = name.split(".")
        if not before:
            for context in contexts:
                if found := self.member(self.classes[context].cls, name):
                    return found
        for prefix in PREFIXES if name[0].isupper() else PREFIXES[:2]:
            if found := self._full(prefix + name):
                return found
        if len(before) > 1 or (before and before[0] not in VARIABLES):
            return None
        for context in contexts:
            if found := self.member(self.classes[context].cls, last):
                return found
        # A single word may be anything else; a call, or what belongs to a variable, is a member.
        return self._home(last) if before or name != text or not last.islower() or "_" in last else None

    def _home(self, name: str) -> str | None:
        """The one place where a member of that name is described; what `Socket` shares is described there."""
        found = [member for member in self._by_member.get(name, ()) if member.owner.module not in ADAPTERS]
        if len({id(member.value) for member in found}) != 1:
            return None
        return next((each for each in found if each.owner.name == "Socket"), found[0]).full_name

    def _full(self, name: str) -> str | None:
        if name in self.objects or name in MODULES[1:]:
            return name
        owner, _, member = name.rpartition(".")
        return self.member(self.classes[owner].cls, member) if owner in self.classes else None


def handles() -> dict[str, type]:
    """The classes of what the reactor's methods return."""
    found = {}
    for name, (owner, method) in HANDLES.items():
        function = getattr(getattr(serversocket, owner), method)
        found[name] = eval(function.__annotations__["return"], function.__globals__)
    return found


@cache
def names() -> Names:
    return Names()

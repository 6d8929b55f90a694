"""The one rule that gives every public member its ActionScript name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["as3_name", "with_as3_names"]

_Class = TypeVar("_Class", bound=type)

_ALIASES: dict[str, str] = {}
"""The ActionScript name of every member that has one."""

_roots: set[type] = set()
"""The classes whose subclasses get both names, by the hook below."""

_ACRONYMS = {"eof": "EOF", "id": "ID", "tls": "TLS", "utf": "UTF"}


def as3_name(name: str) -> str:
    """Returns the ActionScript name of a member.

    Constants, private names and names of one word stay as they are.

    Args:
        name: A PEP 8 name, such as ``read_utf_bytes``.

    Example:
        >>> as3_name("local_port"), as3_name("read_utf_bytes"), as3_name("error_id")
        ('localPort', 'readUTFBytes', 'errorID')
    """
    if name.startswith("_") or name.isupper():
        return name
    first, *rest = name.split("_")
    return first + "".join(_ACRONYMS.get(word, word[:1].upper() + word[1:]) for word in rest)


def with_as3_names(cls: _Class, extend: Callable[[type, str, object], object] = setattr) -> _Class:
    """Adds the ActionScript name of each public member that a class defines: the same object under both names.

    Inherited members are left to the class that defines them. A subclass that overrides a member under one of its names
    overrides it under both, unless it defines both.

    Args:
        cls: The class; it is changed in place and returned, so that this can decorate it.
        extend: Sets the member: called with the class, the name and the member. Native classes refuse `setattr`.

    Example:
        >>> @with_as3_names
        ... class Door:
        ...     def open_slowly(self):
        ...         return "creak"
        >>> Door().openSlowly()
        'creak'
    """
    for name, member in list(vars(cls).items()):
        alias = as3_name(name)
        if alias != name:
            extend(cls, alias, member)
            _ALIASES[name] = alias
    if _roots.isdisjoint(cls.__mro__):
        _roots.add(cls)
        extend(cls, "__init_subclass__", classmethod(_hook(cls)))
    return cls


def _hook(root: type) -> Callable[..., None]:
    def __init_subclass__(cls: type, **options: object) -> None:
        super(root, cls).__init_subclass__(**options)  # type: ignore[arg-type]
        _mirror(cls)

    return __init_subclass__


def _mirror(cls: type) -> None:
    """Makes both names of each member refer to what the nearest class defines under either name."""
    for name, alias in _ALIASES.items():
        owner = next((base for base in cls.__mro__ if name in vars(base) or alias in vars(base)), None)
        if owner is None or not (hasattr(cls, name) and hasattr(cls, alias)):
            continue
        if name not in vars(owner):
            setattr(cls, name, vars(owner)[alias])
        elif alias not in vars(owner):
            setattr(cls, alias, vars(owner)[name])

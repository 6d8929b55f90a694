"""The one rule that gives every public member its ActionScript name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

__all__ = ["as3_name", "with_as3_names"]

_Class = TypeVar("_Class", bound=type)

_ACRONYMS = {"eof": "EOF", "id": "ID", "utf": "UTF"}


def as3_name(name: str) -> str:
    """The ActionScript name of a member.

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
    """Gives each public member that a class defines its ActionScript name too: the same object under both names.

    Inherited members are left to the class that defines them.

    Args:
        cls: The class; it is changed in place and returned, so that this can decorate it.
        extend: Called with the class, the name and the member; native classes refuse `setattr` and need their own way.

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
    return cls

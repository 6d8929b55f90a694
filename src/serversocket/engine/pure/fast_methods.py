"""What classes of the engine get from outside, once they are made; natively this makes calls cheaper, too."""

from __future__ import annotations


def extend_type(cls: type, name: str, value: object) -> None:
    """Sets an attribute on an engine class; native types refuse ``setattr``."""
    setattr(cls, name, value)


def quicken(cls: type) -> None:
    """Nothing is to be done: the interpreter calls methods that are written in Python as directly as it can."""

"""Adds attributes to the engine's classes after their definition; the native engine makes calls cheaper here, too."""

from __future__ import annotations


def extend_type(cls: type, name: str, value: object) -> None:
    """Sets an attribute on an engine class; native types refuse ``setattr``."""
    setattr(cls, name, value)


def quicken(cls: type) -> None:
    """Does nothing: the interpreter already calls methods that are written in Python as directly as it can."""

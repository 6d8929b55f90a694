"""Hosts that have to be named: each module has one function, `attach`, and needs its library.

An asyncio loop is found by itself and is not among them. What `attach` returns is a `Hosting`.
"""

from .shared import Hosting as Hosting

__all__ = ["Hosting"]

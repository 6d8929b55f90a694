"""Hosts that a program attaches explicitly: each module has one function, `attach`, and needs its library.

Running asyncio loops and trio are found by themselves and are not among them. `attach` returns a `Hosting`.
"""

from .shared import Hosting as Hosting

__all__ = ["Hosting"]

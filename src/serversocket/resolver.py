"""Host names to addresses, off the loop."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import NamedTuple

from .reactor import Reactor


class Endpoint(NamedTuple):
    """One address to connect to: the family and what `socket.connect` takes."""

    family: int
    address: tuple[str, int] | tuple[str, int, int, int]


class Lookup:
    """One name being looked up in a thread of its own; it may be abandoned, not stopped.

    Args:
        reactor: Where `done` is called.
        host: The name.
        port: The port that the endpoints get.
        done: Called in the reactor's thread with the endpoints, in the system's order, or the system's error.
    """

    def __init__(
        self, reactor: Reactor, host: str, port: int, done: Callable[[list[Endpoint] | OSError], None]
    ) -> None:
        self._reactor = reactor
        self._done: Callable[[list[Endpoint] | OSError], None] | None = done
        threading.Thread(target=self._look_up, args=(host, port), name=f"resolve {host}", daemon=True).start()
        reactor._retain()

    def cancel(self) -> None:
        """Gives it up: `done` is not called any more."""
        if self._done is not None:
            self._done = None
            self._reactor._release()

    def _look_up(self, host: str, port: int) -> None:
        result: list[Endpoint] | OSError
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
            # The families that connect() can take; getaddrinfo names each address once for this type.
            result = [
                Endpoint(family, address)  # type: ignore[arg-type]
                for family, _, _, _, address in found
                if family in (socket.AF_INET, socket.AF_INET6)
            ]
        except OSError as error:
            result = error
        except UnicodeError as error:
            result = OSError(socket.EAI_NONAME, f"not a host name: {error}")
        with suppress(RuntimeError):  # the reactor was closed meanwhile
            self._reactor.call_soon_threadsafe(self._deliver, result)

    def _deliver(self, result: list[Endpoint] | OSError) -> None:
        done, self._done = self._done, None
        if done is not None:
            self._reactor._release()
            done(result)

"""One client connect: the order of the addresses, the delay between attempts, and the timeout.

Addresses of both families are tried alternately. The next attempt begins as soon as one has failed, or 250 ms after it
began (RFC 8305). The first one that connects wins; the others are cancelled.
"""

from __future__ import annotations

import errno
import os
import socket
from itertools import chain, zip_longest
from typing import Any, Protocol

from ..engine import Connector
from ..loop.reactor import Reactor
from ..loop.timers import TimerHandle
from .addresses import Address, Origin
from .resolver import Endpoint, Lookup

STAGGER = 0.25


class Client(Protocol):
    """The client that connects: a `Socket`."""

    @property
    def reactor(self) -> Any: ...
    def _connected(self, connector: Connector) -> None: ...
    def _refused(self, cause: OSError) -> None: ...
    def close(self) -> None: ...


class Attempt:
    """A connect that is in progress.

    Args:
        client: The socket that connects.
        host: A host name, an `Address` that needs no look-up, or the error of parsing it.
        port: 0 to 65535.
        timeout: Seconds for everything together: the look-up and all addresses.
        origin: The local address and port to connect from; addresses of the other family are not tried.

    The client is notified of the outcome once, from the reactor, never from inside the constructor.
    """

    def __init__(
        self,
        client: Client,
        host: str | Address | OSError,
        port: int,
        timeout: float,
        origin: Origin | None = None,
    ) -> None:
        reactor: Reactor = client.reactor
        self._reactor = reactor
        self._origin = origin
        self._client: Client | None = client
        self._waiting: list[Endpoint] = []
        self._connectors: list[Connector] = []
        self._lookup: Lookup | None = None
        self._next: TimerHandle | None = None
        self._error = OSError(errno.EHOSTUNREACH, "the name has no address")
        self._limit: TimerHandle | None = None
        reactor._attempts.add(self)
        try:
            self._limit = reactor.call_later(timeout, self._timed_out, timeout)
            self._begin(host, port)
        except RuntimeError as error:
            self._give_up()
            if reactor.closed:
                raise
            # A thread is needed to resolve the name, or in a hosted reactor of pure Python for the timer.
            reactor._attempts.add(self)
            self._end_later(OSError(errno.EAGAIN, f"no thread could be started: {error}"))
        except BaseException:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Gives up, without notifying the client."""
        self._client = None
        self._give_up()

    def closed_here(self) -> None:
        """Cancels, because the client was closed."""
        self.cancel()

    def abandon(self) -> None:
        """Closes the client, because its reactor is about to be closed."""
        if self._client is not None:
            self._client.close()

    def _begin(self, host: str | Address | OSError, port: int) -> None:
        if isinstance(host, Address):
            self._wait_for([_endpoint(host, port)])
            if self._waiting:
                self._try_next()
            else:
                self._end_later(self._error)
        elif isinstance(host, OSError):
            self._end_later(host)
        else:
            self._lookup = Lookup(self._reactor, host, port, self._looked_up)

    def _give_up(self) -> None:
        self._reactor._attempts.discard(self)
        for timer in (self._limit, self._next):
            if timer is not None:
                timer.cancel()
        if self._lookup is not None:
            self._lookup.cancel()
        for connector in self._connectors:
            connector.cancel()
        self._connectors.clear()
        self._waiting.clear()

    def _looked_up(self, result: list[Endpoint] | OSError) -> None:
        if isinstance(result, OSError):
            self._end(result)
        else:
            self._wait_for(_interleave(result))
            self._try_next()

    def _wait_for(self, endpoints: list[Endpoint]) -> None:
        local = self._origin and self._origin.address
        for each in endpoints:  # no comprehension: out of memory for its cell, CPython 3.11 loses the arguments
            if local is None or each.family == local.family:
                self._waiting.append(each)
        if endpoints and not self._waiting:
            self._error = OSError(errno.EAFNOSUPPORT, "the host has no address of the family of local_address")

    def _try_next(self) -> None:
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if not self._waiting:
            if not self._connectors:
                self._end(self._error)
            return
        endpoint = self._waiting.pop(0)
        local = self._origin and _local_endpoint(self._origin, endpoint.family).address
        connector = Connector(self._reactor, endpoint.family, endpoint.address, self._answered, local)
        self._connectors.append(connector)
        connector.start()
        if self._waiting:
            self._next = self._reactor.call_later(STAGGER, self._try_next)

    def _answered(self, connector: Connector) -> None:
        self._connectors.remove(connector)
        if connector.errno:
            self._error = OSError(connector.errno, os.strerror(connector.errno))
            self._try_next()
            return
        client, self._client = self._client, None
        try:
            if client is None:
                connector.cancel()
            else:
                client._connected(connector)
        finally:
            self.cancel()

    def _timed_out(self, timeout: float) -> None:
        self._end(OSError(errno.ETIMEDOUT, f"no answer within {timeout:g} s"))

    def _end_later(self, error: OSError) -> None:
        self._reactor.call_soon_threadsafe(self._end, error)

    def _end(self, error: OSError) -> None:
        client, self._client = self._client, None
        try:
            if client is not None:
                client._refused(error)
        finally:
            self.cancel()


def _endpoint(address: Address, port: int) -> Endpoint:
    if address.family == socket.AF_INET6:
        return Endpoint(address.family, (address.host, port, 0, address.scope_id))
    return Endpoint(address.family, (address.host, port))


def _local_endpoint(origin: Origin, family: int) -> Endpoint:
    any_address = Address(socket.AF_INET6, "::") if family == socket.AF_INET6 else Address(socket.AF_INET, "0.0.0.0")
    return _endpoint(origin.address or any_address, origin.port)


def _interleave(endpoints: list[Endpoint]) -> list[Endpoint]:
    """Returns the endpoints with alternating families, beginning with the one that the system put first."""
    if not endpoints:
        return []
    first = [e for e in endpoints if e.family == endpoints[0].family]
    second = [e for e in endpoints if e.family != endpoints[0].family]
    return [e for e in chain.from_iterable(zip_longest(first, second)) if e is not None]

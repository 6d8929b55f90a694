"""`pipe`: forwards between two connections, as a proxy does."""

from __future__ import annotations

from typing import NamedTuple

from .. import errors
from ..naming import with_as3_names
from .backends import current_library
from .sockets import AsyncSocket


@with_as3_names
class Piped(NamedTuple):
    """How many bytes `pipe` has forwarded in each direction."""

    to_target: int
    """Received from the source and sent to the target."""

    to_source: int
    """Received from the target and sent to the source."""


async def pipe(source: AsyncSocket, target: AsyncSocket) -> Piped:
    """Forwards the input of each of two connections to the other, until both streams have ended.

    The two directions end independently: the end of one peer's stream is passed on to the other peer, which may
    continue sending. Backpressure is passed on too: a peer that does not keep up makes the other one wait. When this
    returns, the system has taken all bytes of both streams, and both connections are closed.

    A stream arrives complete, or its receiver sees a reset, never a clean end of a truncated stream. So if a connection
    breaks or this task is cancelled, both are closed: a connection that has got the other's complete stream by
    `AsyncSocket.close`, which sends pending output; otherwise by `AsyncSocket.abort`.

    Args:
        source: One connection.
        target: The other one. They are equivalent, except for the names of the result.

    Returns:
        The numbers of bytes that were forwarded.

    Raises:
        IOError: A connection broke, or was closed by another task (#2002).
        ArgumentError: Both are the same connection (#2004).
        TypeError: An argument is not an `AsyncSocket`.
        RuntimeError: Another task is receiving from one of them, or the call does not come from a coroutine of asyncio
            or trio.

    Example:
        >>> import serversocket
        >>> async def forward(client):
        ...     server = await serversocket.aio.connect("127.0.0.1", 9000)
        ...     carried = await serversocket.aio.pipe(client, server)
        ...     print(carried.to_target, "bytes were sent,", carried.to_source, "received")
    """
    ends = (source, target)
    for name, end in zip(("source", "target"), ends, strict=True):
        if not isinstance(end, AsyncSocket):
            raise errors.wrong_type(name, end, "an AsyncSocket")
        end._require_reader("pipe")
    if source is target:
        raise errors.bad_argument("pipe", "source and target are the same connection")
    library = current_library("pipe")
    carried = [0, 0]
    failures: list[Exception] = []

    async def carry(way: int) -> None:
        here, there = ends[way], ends[1 - way]
        try:
            while data := await here.receive():
                await there.send(data)
                carried[way] += len(data)
            await there.send_eof()
            await here._finished()  # it may break until then
        except Exception as error:
            failures.append(error)  # a second one is a consequence of the first
            give_up()

    def give_up() -> None:
        for end in ends:
            if end.socket.output_ended or not end.connected:
                end.close()
            else:
                end.abort()

    try:
        async with library.open_group() as group:
            group.start_soon(carry, 1)
            await carry(0)
    except BaseException:
        give_up()
        raise
    if failures:
        try:
            raise failures[0]
        finally:
            failures.clear()  # their tracebacks refer to this frame
    for end in ends:
        end.close()
    return Piped(*carried)

"""async/await: servers and connections for coroutines, in asyncio (with any loop) and in trio.

    import asyncio
    import serversocket.aio

    async def echo(socket):
        async for chunk in socket:
            await socket.send(chunk)

    async def main():
        async with serversocket.aio.listen(8080, "127.0.0.1") as server:
            await server.serve(echo)

    asyncio.run(main())

It is built on the same `ServerSocket` and `Socket` that listeners use: `AsyncServer.server` and `AsyncSocket.socket`.
"""

from .clients import connect as connect
from .pipes import Piped as Piped
from .pipes import pipe as pipe
from .servers import AsyncServer as AsyncServer
from .servers import listen as listen
from .sockets import AsyncSocket as AsyncSocket

__all__ = ["AsyncServer", "AsyncSocket", "Piped", "connect", "listen", "pipe"]

"""serversocket inside asyncio's loop, which delivers its events."""

import asyncio

from serversocket_server import start


async def main():
    start()
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    asyncio.run(main())

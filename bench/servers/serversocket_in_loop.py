"""serversocket inside asyncio's loop, which delivers its events; with the option `uvloop` inside uvloop's."""

import asyncio

import loops
from common import role
from serversocket_server import ROLES, start


async def main():
    start(role(ROLES))
    await asyncio.get_running_loop().create_future()


if __name__ == "__main__":
    loops.run(main())

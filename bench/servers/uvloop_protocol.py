"""uvloop with protocols."""

import uvloop
from asyncio_protocol import main

main(uvloop.run)

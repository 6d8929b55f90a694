"""uvloop with buffered protocols."""

import uvloop
from asyncio_protocol import BUFFERED, main

main(uvloop.run, BUFFERED)

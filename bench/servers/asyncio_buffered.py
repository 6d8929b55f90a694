"""asyncio with buffered protocols."""

from asyncio_protocol import BUFFERED, main

main(protocols=BUFFERED)

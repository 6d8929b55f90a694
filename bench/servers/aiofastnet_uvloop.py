"""aiofastnet's transports on uvloop, with protocols."""

import aiofastnet
import uvloop
from asyncio_protocol import main


def run(main):
    uvloop.run(main, loop_factory=aiofastnet.loop_factory(uvloop.new_event_loop))


main(run)

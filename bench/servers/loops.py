"""The loops that asyncio's servers run in: asyncio's own, uvloop, or aiofastnet's transports on uvloop."""

import asyncio

from common import chosen


def run(main):
    """Runs a coroutine in the loop that the command line chooses."""
    if chosen("aiofastnet"):
        import aiofastnet
        import uvloop

        uvloop.run(main, loop_factory=aiofastnet.loop_factory(uvloop.new_event_loop))
    elif chosen("uvloop"):
        import uvloop

        uvloop.run(main)
    else:
        asyncio.run(main)

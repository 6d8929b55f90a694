"""asyncio's streams in uvloop's loop."""

import uvloop
from asyncio_streams import main

uvloop.run(main())

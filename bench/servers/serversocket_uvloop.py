"""serversocket inside uvloop's loop."""

import uvloop
from serversocket_asyncio import main

uvloop.run(main())

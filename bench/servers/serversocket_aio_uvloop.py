"""serversocket for coroutines, in uvloop's loop."""

import uvloop
from serversocket_aio import main

uvloop.run(main())

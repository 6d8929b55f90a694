"""An echo server on all cores. Run it with ``workers.py [PORT]``.

Ctrl-C ends it, SIGHUP replaces its workers.
"""

import logging
import sys

import serversocket


def setup(server):
    server.add_event_listener("connect", connected)


def connected(event):
    event.socket.add_event_listener("socketData", echo)


def echo(event):
    event.target.write(event.target.read())


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    supervisor = serversocket.Supervisor(setup, int(sys.argv[1]) if len(sys.argv) > 1 else 8000, "127.0.0.1")
    print(f"{supervisor.workers} workers on {supervisor.local_address}:{supervisor.local_port}", flush=True)
    supervisor.run()

"""The C server, which calls a function here for all that happens: what every server with callbacks in Python pays."""

import sys

import c_callback


def on_event(_):
    pass


if __name__ == "__main__":
    c_callback.serve(sys.argv[-1], on_event)

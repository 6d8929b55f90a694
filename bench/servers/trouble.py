"""What the servers share in the roles of the scoreboard, where something goes wrong on purpose."""

import atexit
import functools
import gc
import os
import signal
import sys
import threading

from common import role, say

MEBIBYTE = 1 << 20
OFFER = 256  # MiB written to a reader that never reads

RAISE = b"raise"  # the handler of this message raises
TELL = b"tell"  # answered with the figures of the batch
# What a forked child ends; at last itself, with sys.exit.
FORK = ("listener", "connection", "exit")
CHILD_SECONDS = 1

ROLES = (
    *("accept", "reply", "echo", "discard", "chargen"),
    *("offer", "raise-connect", "raise-data", "raise-close", "batch", "fork", "exit"),
)

kept = []  # sockets that live until the interpreter ends


def function_for(name):
    """How a server calls the function that serves in this role."""
    return "leave" if name == "exit" else name.replace("-", "_")


def class_for(name):
    """How a server calls its protocol for this role."""
    return {"exit": "Leave", "batch": "InBatch"}.get(name) or name.title().replace("-", "")


def roles_in(module, called=function_for):
    """Every role, with what a module has for it."""
    return {name: module[called(name)] for name in ROLES}


def main(roles, serve, **questions):
    """Does what the command line's role names: `serve` with its entry, or answers one of *questions* on stdout.

    `exit` has two variants for programs that end by a signal, and with their server in a daemon thread.
    """
    leave = roles["exit"]
    chosen = role({**roles, "exit-signal": leave, "exit-thread": leave, **questions})
    name = sys.argv[-1]
    if name in questions:
        chosen()
    elif name == "exit-thread":
        in_daemon_thread(functools.partial(serve, chosen))
    else:
        if name == "exit-signal":
            end_by_signal()
        serve(chosen)


def piece():
    """A MiB of its own: no library can save memory by keeping one object many times."""
    return b"x" * MEBIBYTE


class Deliberate(Exception):
    """What a handler raises because it was asked to."""


class Batch:
    """Counts data that reaches a connection after the program closed it."""

    def __init__(self):
        self.members, self.closed, self.late = set(), 0, 0

    def received(self, connection, data, reply, close):
        """The first of the members that gets data closes all the others, then itself."""
        if data == TELL:
            self.members.discard(connection)
            reply(b"%d %d\n" % (self.closed, self.late))
        elif connection not in self.members:
            self.late += 1
        else:
            others, self.members = self.members - {connection}, set()
            self.closed += len(others)
            for other in others:
                close(other)
            close(connection)


def offer(send):
    """Sends to one who never reads."""
    for _ in range(OFFER):
        send(piece())
    say("OFFERED")


def reply_or_raise(data, reply):
    if RAISE in data:
        raise Deliberate
    reply(data)


def fork(data, close_listener, close, reply):
    """Replies, after a forked child has ended what the message names, if it does."""
    name = data.decode()
    if name in FORK:
        in_child(name, close_listener if name == "listener" else close)
    reply(data)


def leave(data, connection, close, stop):
    """Ends the program in the way that the message names, or has it stopped."""
    way = data.decode()
    prepare_to_end(way, connection, close)
    if way == "exit":
        sys.exit(0)
    stop()


def in_child(name, what):
    """Do *what* in a forked child, which then ends; return when it has. With "exit" it ends as a program does."""
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        return
    signal.alarm(CHILD_SECONDS)  # a child that goes on serving is ended: the parent waits for it
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # how the child complains is not measured
    if name == "exit":
        sys.exit(0)
    try:
        what()
    finally:
        os._exit(0)


def prepare_to_end(way, connection, close):
    """What the program does with an open connection before it ends in that *way*."""
    if way == "cycle":
        cycle = [connection]
        cycle.append(cycle)
        gc.disable()
    else:
        kept.append(connection)
    if way == "atexit":
        atexit.register(close)


def end_by_signal():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def in_daemon_thread(run):
    """Run *run* in a daemon thread; the main thread, and with it the program, ends with SIGTERM."""
    end_by_signal()
    threading.Thread(target=run, daemon=True).start()
    while True:
        signal.pause()

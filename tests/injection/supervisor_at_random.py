"""Has a supervisor replace its workers again and again while every system call of its may fail by chance.

python supervisor_at_random.py SEED PROBABILITY RESTARTS
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from typing import Any

import shim
import supervision
from supervision import Supervised, alive, echoes

from serversocket import Supervisor

ERRORS = {
    "poll": (errno.ENOMEM, errno.EINTR),
    "fork": (errno.EAGAIN, errno.ENOMEM),
    "kill": (errno.EPERM,),
    "waitpid": (errno.EINTR, errno.EINVAL),
    "pipe2": (errno.EMFILE, errno.ENFILE),
    "read": (errno.EAGAIN, errno.EINTR),
    "close": (errno.EINTR, errno.EIO),
    "epoll_create1": (errno.EMFILE,),
    "getsockopt": (errno.ENOBUFS,),
}


class Log(logging.Handler):
    """Writes by a call that does not fail."""

    def emit(self, record: logging.LogRecord) -> None:
        os.writev(1, [f"{record.getMessage()}\n".encode()])


def setup(server: Any) -> None:
    shim.off()  # from here on a worker serves
    supervision.setup(server)


def supervise(log: int, seed: int, probability: float) -> None:
    os.dup2(log, 1)
    os.close(log)
    logging.basicConfig(level=logging.INFO, handlers=[Log()])
    supervisor = Supervisor(setup, 0, "127.0.0.1", workers=2, grace=1000, watchdog=supervision.PATIENCE)
    logging.info("port %d", supervisor.local_port)
    shim.chance(seed, probability)
    supervisor.run()
    shim.off()
    logging.info("%d calls failed", sum(map(shim.failed, ERRORS)))
    logging.info("over")


def main(seed: str, probability: str, restarts: str) -> None:
    for call, verdicts in ERRORS.items():
        for verdict in verdicts:
            shim.offer(call, verdict)
    it = Supervised(lambda log: supervise(log, int(seed), float(probability)))
    try:
        it.until(lambda: len(it.started()) >= 2, "two workers start")
        with it.connect() as held, held.makefile("rb") as answer:
            pid = int(answer.readline())
            for _ in range(int(restarts)):
                it.replace()
                it.kill_one()
                assert it.answer() != pid
                assert echoes(held), "a worker that works was touched"
        it.signal(15)
        assert it.end() == 0
        assert not any(alive(pid) for _, pid in it.started()), "workers are left"
        print(it.log.splitlines()[-2])
    except BaseException:
        print(it.log)
        raise
    finally:
        it.close()


if __name__ == "__main__":
    main(*sys.argv[1:])

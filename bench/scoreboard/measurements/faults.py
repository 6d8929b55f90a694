"""System calls of a server fail, one at a time; then the next client is served and no descriptor is left."""

import contextlib
import shutil
import signal
import subprocess
import tempfile
import time

from harness import Failure, Running
from peers import Peer

from scoreboard import client, process

# What a server of any kind calls between a client's SYN and its end; of each line the call that comes first fails once.
ACCEPT = "accept4,accept"
RECEIVE = "recvfrom,recvmsg,read,readv"
SEND = "sendto,sendmsg,write,writev"
WAIT = "epoll_wait,epoll_pwait,epoll_pwait2"
ERRORS = {
    ACCEPT: "EMFILE ENFILE ENOBUFS ENOMEM ECONNABORTED EINTR EAGAIN EPROTO EPERM ENETDOWN EHOSTUNREACH EIO",
    RECEIVE: "ECONNRESET ETIMEDOUT EINTR EAGAIN EIO ENOMEM EHOSTUNREACH",
    SEND: "EPIPE ECONNRESET EINTR EAGAIN ENOBUFS ENOMEM ETIMEDOUT EIO",
    "epoll_ctl": "ENOSPC ENOMEM EPERM EEXIST ENOENT EBADF",
    WAIT: "EINTR",
    "setsockopt": "ENOPROTOOPT EINVAL ENOBUFS ENOMEM",
    "getsockname": "ENOBUFS ENOTCONN EINVAL",
    "getpeername": "ENOBUFS ENOTCONN EINVAL",
    "shutdown": "ENOTCONN ENOBUFS",
    "close": "EINTR EIO",
}
FAULTS = [(calls, error) for calls, errors in ERRORS.items() for error in errors.split()]


def measure(peer: Peer, count: int = len(FAULTS)) -> dict:
    """Figures: `survived` and `reached` of `faults`; `details`: what went wrong, by fault."""
    if not shutil.which("strace"):
        raise Failure("strace is not installed")
    chosen = FAULTS[:: max(1, len(FAULTS) // count)]
    details, reached = {}, 0
    for calls, error in chosen:
        hit, problem = inject(peer, calls, error)
        reached += hit
        if problem:
            details[f"{calls.partition(',')[0]}:{error}"] = problem
    return {"survived": len(chosen) - len(details), "reached": reached, "faults": len(chosen), "details": details}


def inject(peer: Peer, calls: str, error: str) -> tuple[bool, str | None]:
    """Returns True if the fault was met, and what was wrong afterwards."""
    with Running(peer.server, "echo") as running:
        if not client.served(running.port):
            raise Failure("does not serve without any fault")
        process.settle(running, 0, seconds=0.1)
        before = process.descriptors(running)
        with tracer(running.process.pid, calls, error) as trace:
            disturb(running.port)
            time.sleep(0.05)
            next_served = process.alive(running) and client.served(running.port)
        if not process.alive(running):
            return trace.hit, f"ended: {process.complaint(running)}"
        if not next_served:
            return trace.hit, "the next client was not served"
        # A close that fails by injection was never made: that one descriptor is the tracer's fault.
        left = process.settle(running, before + (calls == "close"))
        return trace.hit, f"{left} descriptors left" if left else None


class Trace:
    hit = False


@contextlib.contextmanager
def tracer(pid: int, calls: str, error: str):
    trace = Trace()
    with tempfile.NamedTemporaryFile("r") as log:
        command = ["strace", "-f", "-p", str(pid), "-o", log.name, "-e", f"trace={calls}"]
        strace = subprocess.Popen(
            [*command, "-e", f"inject={calls}:error={error}:when=1"], stderr=subprocess.PIPE, text=True
        )
        try:
            line = strace.stderr.readline()
            if "attached" not in line:
                raise Failure(line.strip() or "strace did not attach")
            yield trace
        finally:
            strace.send_signal(signal.SIGINT)
            strace.communicate(timeout=10)
            trace.hit = "(INJECTED)" in log.read()


def disturb(port: int) -> None:
    """Clients that end in three ways; whether they are served is not asked."""
    for end in ("close", "half-close", "reset"):
        with contextlib.suppress(OSError):
            sock = client.connect(port, timeout=0.3)
            with contextlib.suppress(OSError):
                client.exchange(sock, timeout=0.3)
            if end == "half-close":
                with contextlib.suppress(OSError):
                    sock.shutdown(1)
                client.told(sock, 0.3)
            if end == "reset":
                client.reset(sock)
            sock.close()

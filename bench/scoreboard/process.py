"""What can be seen of a server's process from outside, in /proc and in the file that takes its stderr."""

import contextlib
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from harness import Failure, Running

PAGE = os.sysconf("SC_PAGE_SIZE")
ENDED = "the server ended"
SETTLE = 2.0  # seconds in which a server may finish what it does after a connection's end


def rss_kib(running: Running) -> float:
    pages = Path(f"/proc/{running.process.pid}/statm").read_text().split()[1]
    return int(pages) * PAGE / 1024


def forget_peak(running: Running) -> None:
    """Let `peak_kib` begin anew."""
    Path(f"/proc/{running.process.pid}/clear_refs").write_text("5")


def peak_kib(running: Running) -> float:
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return float(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:")))


def descriptors(running: Running) -> int:
    return len(os.listdir(f"/proc/{running.process.pid}/fd"))


def cpu_seconds(running: Running) -> float:
    tasks = Path(f"/proc/{running.process.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks) / 1e9


def log_lines(running: Running) -> int:
    return running.stderr().count("\n")


def alive(running: Running) -> bool:
    return running.process.poll() is None


def complaint(running: Running) -> str:
    """The last line on stderr that has a word in it."""
    lines = [line.strip(" |+-") for line in running.stderr().splitlines() if any(map(str.isalpha, line))]
    return lines[-1] if lines else "without a word"


def require_alive(running: Running) -> None:
    if not alive(running):
        raise Failure(f"{ENDED}: {complaint(running)}")


def settle(running: Running, descriptors_wanted: int, seconds: float = SETTLE) -> int:
    """Wait until no more than *descriptors_wanted* are open; how many are too many in the end."""
    wait_until(lambda: descriptors(running) <= descriptors_wanted, seconds)
    return max(0, descriptors(running) - descriptors_wanted)


def wait_until(condition: Callable[[], object], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@contextlib.contextmanager
def held(running: Running):
    """The server stands still; what arrives meanwhile it finds all at once."""
    running.process.send_signal(signal.SIGSTOP)
    wait_until(lambda: _state(running) == "T", 1)
    try:
        yield
    finally:
        running.process.send_signal(signal.SIGCONT)


def _state(running: Running) -> str:
    return Path(f"/proc/{running.process.pid}/stat").read_text().rpartition(")")[2].split()[0]


class Lines:
    """The lines that a server prints after the one with its port, without waiting for them."""

    def __init__(self, running: Running):
        self.descriptor = running.process.stdout.fileno()
        os.set_blocking(self.descriptor, False)
        self.text = ""

    def read(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.descriptor, 65536):
                self.text += data.decode()
        return self.text.splitlines()

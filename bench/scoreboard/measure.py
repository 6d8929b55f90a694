"""One measurement of one peer, in a process of its own.

`python -m scoreboard.measure MODULE PEER SIZES` prints the figures as JSON, or `{"failed": reason}`.
"""

import importlib
import json
import os
import signal
import subprocess
import sys

import harness
from peers import PEERS


def taken(module: str, peer: str, sizes: dict, timeout: float) -> dict:
    """The figures of *module* for *peer*, or why there are none."""
    process = subprocess.Popen(
        [sys.executable, "-m", "scoreboard.measure", module, peer, json.dumps(sizes)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        output, errors = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {timeout:.0f} seconds"}
    finally:
        if process.poll() is None:
            process.terminate()  # it stops its server
            try:
                process.communicate(timeout=harness.STOP_TIMEOUT * 2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()
    if process.returncode:
        return {"failed": harness.last_line(errors)}
    return json.loads(output)


def main() -> None:
    module, peer, sizes = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # what nohup ignores, the servers would ignore too
    _, core = harness.cores()
    os.sched_setaffinity(0, core)
    harness.allow_many_files()
    measurement = importlib.import_module(f"scoreboard.measurements.{module}")
    try:
        figures = measurement.measure(PEERS[peer], **json.loads(sizes))
    except (harness.Failure, OSError, subprocess.SubprocessError) as failure:
        figures = {"failed": str(failure) or type(failure).__name__}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

"""Starts servers and load, each on its own core, and stops what it started."""

import functools
import json
import os
import resource
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from pathlib import Path

from peers import BUILD, CHECKS, HERE, Scenario, Server

START_TIMEOUT = 20
STOP_TIMEOUT = 3
DISTURBED = 0.05  # part of a measurement that the load may spend waiting for its core
ATTEMPTS = 4


class Failure(Exception):
    """A server or a measurement went wrong; the text is for the report."""


def say(text: str) -> None:
    """Progress, beside the tables on stdout."""
    print(text, file=sys.stderr, flush=True)


def build() -> None:
    """Compile what is older than its sources; with Go, and for Python's headers, only where they are installed."""
    BUILD.mkdir(exist_ok=True)
    gcc = ("gcc", "-O2", "-Wall", "-Wextra")
    servers, clients = HERE / "servers", HERE / "load"
    _compile("load", gcc, clients / "load.c", clients / "gauge.h")
    _compile("flood", gcc, clients / "flood.c")
    _compile("c_epoll", gcc, servers / "c_epoll.c")
    if Path(headers := sysconfig.get_path("include"), "Python.h").exists():
        module = "c_callback" + sysconfig.get_config_var("EXT_SUFFIX")
        _compile(module, (*gcc, "-shared", "-fPIC", "-DCALLBACK", f"-I{headers}"), servers / "c_epoll.c")
    if shutil.which("go"):
        _compile("net_server", ("go", "build"), servers / "net_server.go")


def _compile(name: str, compiler: tuple[str, ...], source: Path, *headers: Path) -> None:
    target = BUILD / name
    changed = max(path.stat().st_mtime for path in (source, *headers))
    if not target.exists() or target.stat().st_mtime < changed:
        new = target.with_name(f"{name}.{os.getpid()}")
        subprocess.run([*compiler, "-o", new, source], check=True)
        new.replace(target)  # at once: another run may be using it


@functools.cache  # whoever takes the load's core for itself must not move the server there too
def cores() -> tuple[set[int], set[int]]:
    """The core of the server and that of the load."""
    available = sorted(os.sched_getaffinity(0))
    return {available[0]}, {available[-1]}


def allow_many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def missing(server: Server) -> str | None:
    """Why *server* cannot be run here; None where it can."""
    program = server.command[0]
    if not shutil.which(program):
        compiled = Path(program).parent == BUILD
        return f"{server.compiler if compiled else Path(program).name} is not installed"
    if server.package and not server.package.exists():
        return f"`make {server.package.relative_to(HERE.parent)}` makes it"
    if not server.modules:
        return None
    check = subprocess.run(
        [sys.executable, "-c", f"import {', '.join(server.modules)}"],
        env=os.environ | server.environment,
        capture_output=True,
        text=True,
        cwd=HERE / "servers",
    )
    return last_line(check.stderr) if check.returncode else None


def install(server: Server) -> None:
    """Have pip install the modules of *server*; `missing` tells whether it helped."""
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, *server.modules], check=False, stdout=sys.stderr)


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "no message"


class Running:
    """A server process; leaving the block ends it. *arguments* are its role, where it has several."""

    def __init__(self, server: Server, *arguments: str, wrapper: tuple[str, ...] = ()):
        self.server = server
        core, _ = cores()
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 (closed by stop)
        self.process = subprocess.Popen(
            [*wrapper, *server.command, *arguments],
            env=os.environ | server.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            text=True,
            start_new_session=True,  # Ctrl-C reaches this program alone, which then ends the server
            preexec_fn=lambda: os.sched_setaffinity(0, core),
        )
        try:
            self.told = self._first_line()
            self.port = int(self.told[0])
        except BaseException:
            self.stop()
            raise

    def _first_line(self) -> list[str]:
        """What the server says of itself: its port, and what else its kind tells."""
        if not select.select([self.process.stdout], [], [], START_TIMEOUT)[0]:
            raise Failure("told no port in time")
        line = self.process.stdout.readline()
        if not line.startswith("PORT "):
            self.process.wait(STOP_TIMEOUT)
            raise Failure(f"did not start: {self.message()}")
        return line.split()[1:]

    def stderr(self) -> str:
        # Read with pread: the server writes at the position that both processes share.
        descriptor = self.errors.fileno()
        return os.pread(descriptor, os.fstat(descriptor).st_size, 0).decode(errors="replace")

    def message(self) -> str:
        return last_line(self.stderr())

    def pids(self) -> list[int]:
        """The server's processes: the one started and all below it."""
        found = [self.process.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                found += map(int, task.read_text().split())
        return found

    def check(self) -> None:
        """Raise if the server has ended or complained."""
        if (status := self.process.poll()) is not None:
            raise Failure(f"ended with status {status}: {self.message()}")
        if os.fstat(self.errors.fileno()).st_size:
            raise Failure(f"complained: {self.message()}")

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()
            self.process.send_signal(signal.SIGCONT)  # the load leaves it stopped
            try:
                self.process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.process.stdout.close()
        self.errors.close()

    def __enter__(self) -> "Running":
        return self

    def __exit__(self, *_exception) -> None:
        self.stop()


def answer(server: Server, role: str, question: str = "", wrapper: tuple[str, ...] = (), timeout: float = 300) -> str:
    """What a server prints in a role in which it answers a question and ends."""
    done = subprocess.run(
        [*wrapper, *server.command, role],
        env=os.environ | server.environment,
        input=question,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if done.returncode:
        raise Failure(last_line(done.stderr))
    return done.stdout


def load(running: Running, *arguments: str, timeout: float = 60, stopping: bool = True) -> dict:
    """Run the load against a server, and return what it reports; with *stopping* it tells the server's CPU time too,
    and leaves it stopped."""
    _, core = cores()
    before = running.pids()
    pids = ("--server-pid", ",".join(map(str, before))) if stopping else ()
    process = subprocess.Popen(
        [BUILD / "load", "127.0.0.1", str(running.port), *arguments, *pids],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: os.sched_setaffinity(0, core),
    )
    try:
        output, complaint = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        raise Failure("the load did not end in time") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    running.check()
    if not output:
        raise Failure(f"the load failed: {last_line(complaint)}")
    result = json.loads(output)
    if result["errors"]:
        raise Failure(f"{result['errors']} errors, the first: {result['error']}")
    if running.pids() != before:
        raise Failure("started or ended processes while it was measured")
    return result


def verify(server: Server, roles: set[str]) -> None:
    """Check that *server* does its work correctly in every one of *roles*."""
    for role in sorted(roles):
        for check in CHECKS[role]:
            with Running(server, role) as running:
                try:
                    load(running, *check.split(), "--verify", "--seconds", "20")
                except Failure as failure:
                    raise Failure(f"does not pass `{check}`: {failure}") from None


def measure(server: Server, scenario: Scenario, seconds: float, warmup: float) -> dict:
    """One measurement, repeated a few times where others kept the load from its core."""
    for _ in range(ATTEMPTS):
        result = attempt(server, scenario, seconds, warmup)
        if result["disturbed"] < DISTURBED:
            break
    return result


def attempt(server: Server, scenario: Scenario, seconds: float, warmup: float) -> dict:
    """One measurement, on a server of its own."""
    with Running(server, scenario.role) as running:
        time.sleep(0.05)  # what a runtime does in the background when it starts may finish
        arguments = ("--seconds", str(seconds), "--warmup", str(warmup))
        result = load(running, *scenario.load, *arguments, timeout=seconds + warmup + 40)
    if not result["operations"]:
        raise Failure("no operation was completed")
    result["cpu_us"] = result["server_cpu"] * 1e6 / result["operations"]
    result["busy"] = result["server_cpu"] / result["seconds"]
    result["disturbed"] = result["load_waited"] / result["seconds"]
    return result

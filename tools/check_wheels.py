"""Looks at what is shipped: an sdist and wheels, each for what it has to hold, and each wheel in an empty environment.

    python tools/check_wheels.py --sdist dist/*.tar.gz --native dist/native/*.whl --pure dist/pure/*.whl

Nothing is built. What is wrong is told, all of it, and the exit status is then 1.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import venv
import zipfile
from collections.abc import Iterable, Iterator
from pathlib import Path

NATIVE, PURE = "native", "pure"
UNIT = r"/src/serversocket/_core\.pyx$"  # includes all other parts of the native engine
INCLUDE = r'^include "(.*)"$'
EXTENSION = r"^serversocket/_core\..*\.so$"
IN_EVERY_WHEEL = ("serversocket/py.typed", "serversocket/__init__.pyi")
# Run in an empty folder, with every warning an error: both engines serve a client and end.
SMOKE = """
import sys

import serversocket

assert serversocket.implementation == sys.argv[1], serversocket.implementation
got = []


def connected(event):
    event.socket.add_event_listener("socketData", lambda event: event.target.write(event.target.read()))


def answered(event):
    got.append(event.target.read())
    event.target.close()
    server.close()


server = serversocket.ServerSocket()
server.add_event_listener("connect", connected)
server.bind(0, "127.0.0.1")
server.listen()
client = serversocket.Socket()
client.add_event_listener("connect", lambda event: event.target.write(b"hello"))
client.add_event_listener("socketData", answered)
client.connect("127.0.0.1", server.local_port)
serversocket.run()
assert got == [b"hello"], got
print(f"serversocket {serversocket.__version__}, {serversocket.implementation}: echoes")
"""


def matching(pattern: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if re.search(pattern, name)]


def wrong_in_sdist(file: Path) -> Iterator[str]:
    with tarfile.open(file) as archive:
        names = archive.getnames()
        units = matching(UNIT, names)
        parts = [part for unit in units for part in included(archive, unit)]
    if made := matching(r"\.(c|so)$", names):
        yield f"holds what a build makes: {', '.join(made)}"
    if not units:
        yield "lacks the native engine"
    if missing := [part for part in parts if part not in names]:
        yield f"lacks what the native engine includes: {', '.join(missing)}"


def included(archive: tarfile.TarFile, unit: str) -> list[str]:
    content = archive.extractfile(unit)
    text = content.read().decode() if content else ""
    return [f"{unit.rpartition('/')[0]}/{part}" for part in re.findall(INCLUDE, text, re.MULTILINE)]


def wrong_in_wheel(file: Path, engine: str) -> Iterator[str]:
    with zipfile.ZipFile(file) as archive:
        names = archive.namelist()
    extensions = matching(r"\.so$", names)
    for_any = file.name.endswith("-py3-none-any.whl")
    if engine == PURE and extensions:
        yield f"has an extension: {', '.join(extensions)}"
    if engine == NATIVE and not matching(EXTENSION, extensions):
        yield "has no extension"
    if for_any != (engine == PURE):
        yield f"is for {'any platform' if for_any else 'one platform'}, by its name"
    if sources := matching(r"\.(pyx|pxi|pxd|c)$", names):
        yield f"holds sources: {', '.join(sources)}"
    if missing := [name for name in IN_EVERY_WHEEL if name not in names]:
        yield f"lacks {', '.join(missing)}"


def wrong_in_use(file: Path, engine: str) -> Iterator[str]:
    """Installs the wheel alone into a new environment, far from the checkout, and runs it."""
    with tempfile.TemporaryDirectory() as folder:
        environment, empty = Path(folder, "environment"), Path(folder, "empty")
        empty.mkdir()
        venv.create(environment, with_pip=True)
        python, command = environment / "bin" / "python", environment / "bin" / "serversocket"
        for arguments in (
            (python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", file.resolve()),
            (python, "-W", "error", "-c", SMOKE, engine),
            (command, "--help"),
        ):
            done = subprocess.run(
                arguments, cwd=empty, env=plain_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True
            )
            if done.returncode:
                yield f"does not run: {done.stderr.strip()}"
                return


def plain_environment() -> dict[str, str]:
    """Without what chooses an engine, or shows the interpreter another package."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "SERVERSOCKET"))}


def wrong(sdists: list[Path], wheels: list[tuple[Path, str]]) -> Iterator[str]:
    for sdist in sdists:
        yield from (f"{sdist}: {text}" for text in wrong_in_sdist(sdist))
    for wheel, engine in wheels:
        yield from (f"{wheel}: {text}" for text in wrong_in_wheel(wheel, engine))
        yield from (f"{wheel}: {text}" for text in wrong_in_use(wheel, engine))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sdist", nargs="+", type=Path, default=[], metavar="FILE")
    parser.add_argument("--native", nargs="+", type=Path, default=[], metavar="WHEEL", help="with the native engine")
    parser.add_argument("--pure", nargs="+", type=Path, default=[], metavar="WHEEL", help="for any platform")
    chosen = parser.parse_args()
    wheels = [(file, engine) for engine in (NATIVE, PURE) for file in getattr(chosen, engine)]
    if not wheels and not chosen.sdist:
        parser.error("there is nothing to look at")
    complaints = list(wrong(chosen.sdist, wheels))
    for text in complaints:
        print(f"FAILED: {text}", file=sys.stderr)
    for file in (*chosen.sdist, *(file for file, _ in wheels)) if not complaints else ():
        print(f"{file.name}: as it has to be")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())

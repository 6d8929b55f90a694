"""What looks at the archives that are shipped finds what is wrong with them, and nothing else."""

from __future__ import annotations

import importlib.util
import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "check_wheels.py"

WHEEL = ("serversocket/__init__.py", "serversocket/__init__.pyi", "serversocket/py.typed")
SOURCES = {
    "serversocket/src/serversocket/_core.pyx": b'include "engine/native/stream.pxi"\n',
    "serversocket/src/serversocket/engine/native/stream.pxi": b"",
}
NATIVE_NAME, PURE_NAME = "serversocket_air-1-cp311-cp311-linux_x86_64.whl", "serversocket_air-1-py3-none-any.whl"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("check_wheels", TOOL)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def wheel(file: Path, *names: str) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return file


def sdist(file: Path, contents: dict[str, bytes]) -> Path:
    with tarfile.open(file, "w:gz") as archive:
        for name, content in contents.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file


EXTENSION = "serversocket/_core.cpython-311-x86_64-linux-gnu.so"


@pytest.mark.parametrize(
    ("engine", "name", "names", "complaints"),
    [
        ("native", NATIVE_NAME, (*WHEEL, EXTENSION), []),
        ("pure", PURE_NAME, WHEEL, []),
        ("native", NATIVE_NAME, WHEEL, ["has no extension"]),
        ("native", NATIVE_NAME, (*WHEEL, "other/_core.so"), ["has no extension"]),
        ("native", PURE_NAME, (*WHEEL, EXTENSION), ["is for any platform, by its name"]),
        ("pure", NATIVE_NAME, WHEEL, ["is for one platform, by its name"]),
        ("pure", PURE_NAME, (*WHEEL, EXTENSION), [f"has an extension: {EXTENSION}"]),
        ("pure", PURE_NAME, (*WHEEL, "serversocket/a.pxi"), ["holds sources: serversocket/a.pxi"]),
        ("pure", PURE_NAME, WHEEL[:1], ["lacks serversocket/py.typed, serversocket/__init__.pyi"]),
    ],
)
def test_what_is_wrong_with_a_wheel_is_told(tool, tmp_path, engine, name, names, complaints):
    assert list(tool.wrong_in_wheel(wheel(tmp_path / name, *names), engine)) == complaints


@pytest.mark.parametrize(
    ("contents", "complaints"),
    [
        (SOURCES, []),
        ({}, ["lacks the native engine"]),
        (
            dict(list(SOURCES.items())[:1]),
            ["lacks what the native engine includes: serversocket/src/serversocket/engine/native/stream.pxi"],
        ),
        (
            SOURCES | {"serversocket/src/serversocket/_core.c": b""},
            ["holds what a build makes: serversocket/src/serversocket/_core.c"],
        ),
    ],
)
def test_what_is_wrong_with_an_sdist_is_told(tool, tmp_path, contents, complaints):
    assert list(tool.wrong_in_sdist(sdist(tmp_path / "serversocket.tar.gz", contents))) == complaints


def test_an_archive_that_is_wrong_is_named_and_fails(tmp_path):
    file = sdist(tmp_path / "serversocket.tar.gz", {})
    done = subprocess.run([sys.executable, TOOL, "--sdist", file], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"FAILED: {file}: lacks the native engine\n"


def test_nothing_to_look_at_is_refused():
    done = subprocess.run([sys.executable, TOOL], capture_output=True, text=True)
    assert done.returncode == 2
    assert "there is nothing to look at" in done.stderr

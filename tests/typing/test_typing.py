"""The public names are typed, under both of their styles, and the stub says what the package is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import serversocket

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.timeout(300)


def run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_whole_api_passes_strict_type_checks() -> None:
    run("-m", "mypy", "tests/typing/public_api.py", "tests/typing/facades.py")


@pytest.mark.skipif(serversocket.implementation != "pure", reason="the stub is made on the pure engine")
def test_the_stub_is_up_to_date() -> None:
    run("tools/make_stubs.py", "--check")


def test_the_stub_says_what_the_package_is(tmp_path: Path) -> None:
    # The modules behind the public names are their own stubs, and lack the AS3 names: those exist at run time.
    # The native engine's classes have two special methods more, and a layout that Python's classes do not have.
    allowed = tmp_path / "allowed"
    allowed.write_text("serversocket\\.[a-z_]+(\\..*)?\nserversocket\\..*_cython__\n")
    run(
        *("-m", "mypy.stubtest", "serversocket", "--ignore-disjoint-bases", "--mypy-config-file", "pyproject.toml"),
        *("--allowlist", str(allowed), "--ignore-unused-allowlist"),
    )

"""The shim, and the programs that run under it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import serversocket

HERE = Path(__file__).parent


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shim, compiled."""
    compiler = os.environ.get("CC") or "cc"
    if sys.platform != "linux":
        pytest.skip("LD_PRELOAD and epoll are Linux's")
    if not shutil.which(compiler) or subprocess.run([compiler, "--version"], capture_output=True).returncode:
        pytest.skip("needs a C compiler")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    warnings = ["-Wall", "-Wextra", "-Werror"]
    subprocess.run([compiler, "-O2", *warnings, "-shared", "-fPIC", "-o", library, HERE / "shim.c", "-ldl"], check=True)
    return library


@pytest.fixture
def under_shim(shim: Path) -> Callable[..., str]:
    """Runs a program of this folder under the shim, on this engine; it must end well and in silence."""
    preloaded = f"{os.environ.get('LD_PRELOAD', '')} {shim}".strip()
    environment = {
        **os.environ,
        "LD_PRELOAD": preloaded,
        "PYTHONFAULTHANDLER": "1",
        "SERVERSOCKET_IMPL": serversocket.implementation,
    }

    def run(program: str, *arguments: object) -> str:
        command = [sys.executable, "-X", "dev", "-W", "error", HERE / program, *map(str, arguments)]
        result = subprocess.run(command, capture_output=True, text=True, env=environment)
        assert result.returncode == 0, f"exit status {result.returncode}\n{result.stdout}\n{result.stderr}"
        assert result.stderr == "", result.stderr
        return result.stdout

    return run

"""Each host is loaded once and driven as `loops.Loop`; each async library runs coroutines."""

from __future__ import annotations

import importlib.util
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import anyio
import anyio.lowlevel
import pytest

from ..behaviour.helpers import PATIENCE
from .loops import LOOPS, Loop, toolkit

LIBRARIES: dict[str, dict[str, Any]] = {
    "asyncio": {"backend": "asyncio"},
    "asyncio, debugging": {"backend": "asyncio", "backend_options": {"debug": True}},
    "uvloop": {"backend": "asyncio", "backend_options": {"use_uvloop": True}},
    "trio": {"backend": "trio"},
}


@pytest.fixture(scope="session", params=LOOPS)
def module(request: pytest.FixtureRequest) -> Iterator[str]:
    with toolkit(request.param):
        yield request.param


@pytest.fixture
def loop(module: str) -> Iterator[Loop]:
    it = LOOPS[module]()
    yield it
    it.end()


if importlib.util.find_spec("uvloop"):
    # It keeps a pair of sockets from the first run on, which no test must be blamed for.
    anyio.run(anyio.lowlevel.checkpoint, **LIBRARIES["uvloop"])


@pytest.fixture(params=LIBRARIES)
def run(request: pytest.FixtureRequest) -> Callable[[Callable[[], Awaitable[Any]]], Any]:
    """Runs a coroutine function in one of the libraries."""
    options = LIBRARIES[request.param]
    pytest.importorskip("trio" if options["backend"] == "trio" else "anyio")
    if "use_uvloop" in options.get("backend_options", {}):
        pytest.importorskip("uvloop")

    def run(function: Callable[[], Awaitable[Any]]) -> Any:
        async def bounded() -> Any:
            with anyio.fail_after(PATIENCE):
                return await function()

        return anyio.run(bounded, **options)

    return run

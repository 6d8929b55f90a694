"""Each host is loaded once and driven as `loops.Loop`."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .loops import LOOPS, Loop, toolkit


@pytest.fixture(scope="session", params=LOOPS)
def module(request: pytest.FixtureRequest) -> Iterator[str]:
    with toolkit(request.param):
        yield request.param


@pytest.fixture
def loop(module: str) -> Iterator[Loop]:
    it = LOOPS[module]()
    yield it
    it.end()

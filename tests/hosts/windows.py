"""What the windows of both examples are asked to do, and what they have to show for it."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any

from ..behaviour.helpers import connect_to
from .loops import Loop

EXAMPLES = Path(__file__).parents[2] / "examples"
MILK = b"Lucy can't drink milk."


def example(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def converse(loop: Loop, bind: Callable[[], Any], send: Callable[[], Any], log: Callable[[], str]) -> None:
    """Presses the buttons, and is the client."""
    send()
    assert log() == "No socket connection.\n"
    bind()
    bound = re.search(r"^Bound to: 127\.0\.0\.1:(\d+)$", log(), re.M)
    assert bound
    bind()  # another server
    port = int(re.findall(r"^Bound to: 127\.0\.0\.1:(\d+)$", log(), re.M)[1])
    with connect_to("127.0.0.1", port) as client:
        name = f"127.0.0.1:{client.getsockname()[1]}"
        loop.until(lambda: f"Connection from {name}\n" in log())
        client.sendall("Grüße".encode())
        loop.until(lambda: "Received: Grüße\n" in log())
        send()
        assert log().endswith(f"Sent message to {name}\n")
        answer = bytearray()

        def answered() -> bool:
            client.setblocking(False)
            with suppress(BlockingIOError):
                answer.extend(client.recv(100))
            return answer == MILK

        loop.until(answered)
    loop.until(lambda: log().endswith(f"Closed by {name}\n"))
    send()
    assert log().endswith("No socket connection.\n")

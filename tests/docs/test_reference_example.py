"""The example of the reference page, carried over to Python, does what it does there."""

from __future__ import annotations

import importlib.util
import socket
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import serversocket
from serversocket.loop.reactor import current_reactor

EXAMPLES = Path(__file__).parents[2] / "examples"
MILK = b"Lucy can't drink milk."


@pytest.fixture
def page() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_example", EXAMPLES / "reference_example.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def example(page: ModuleType) -> Iterator[Any]:
    example = page.ServerSocketExample()
    example.localIP.text = "127.0.0.1"
    yield example
    if example.clientSocket is not None and example.clientSocket.connected:
        example.clientSocket.close()
    if example.serverSocket.bound:
        example.serverSocket.close()


def until(log: Any, text: str) -> None:
    while text not in log.text:
        current_reactor().poll()


def test_a_conversation(example: Any) -> None:
    click = serversocket.Event("click")
    example.send(click)
    assert example.logField.text == "No socket connection.\n"

    example.bind(click)
    port = example.serverSocket.localPort
    assert example.logField.text.endswith(f"Bound to: 127.0.0.1:{port}\n")

    with socket.create_connection(("127.0.0.1", port)) as client:
        until(example.logField, f"Connection from 127.0.0.1:{client.getsockname()[1]}\n")
        client.sendall("Grüße".encode())
        until(example.logField, "Received: Grüße\n")
        example.send(click)
        assert client.recv(len(MILK), socket.MSG_WAITALL) == MILK
        assert example.logField.text.endswith(f"Sent message to 127.0.0.1:{client.getsockname()[1]}\n")
    assert example.logField.scrollV == example.logField.maxScrollV


def test_binding_again_takes_another_socket(example: Any) -> None:
    click = serversocket.Event("click")
    example.bind(click)
    first = example.serverSocket
    example.bind(click)
    assert not first.bound
    assert example.serverSocket.listening


def test_a_port_that_is_none(example: Any) -> None:
    example.localPort.text = "65536"
    with pytest.raises(serversocket.RangeError):
        example.bind(serversocket.Event("click"))


def test_as_a_program_it_answers(page: ModuleType) -> None:
    example = page.Answering()
    example.localIP.text = "127.0.0.1"
    example.bind(serversocket.Event("click"))
    with socket.create_connection(("127.0.0.1", example.serverSocket.localPort)) as client:
        client.sendall(b"hello")
        until(example.logField, "Sent message to")
        assert client.recv(len(MILK), socket.MSG_WAITALL) == MILK
    example.clientSocket.close()
    example.serverSocket.close()

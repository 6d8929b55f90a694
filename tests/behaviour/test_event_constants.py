"""Every constant is the type that its name says."""

from __future__ import annotations

from typing import Any

import pytest

import serversocket

CONSTANTS = {
    "Event.ACTIVATE": "activate",
    "Event.CLOSE": "close",
    "Event.COMPLETE": "complete",
    "Event.CONNECT": "connect",
    "Event.ENTER_FRAME": "enterFrame",
    "Event.NETWORK_CHANGE": "networkChange",
    "Event.STANDARD_ERROR_CLOSE": "standardErrorClose",
    "Event.USER_PRESENT": "userPresent",
    "Event.WORKER_STATE": "workerState",
    "ProgressEvent.PROGRESS": "progress",
    "ProgressEvent.SOCKET_DATA": "socketData",
    "ProgressEvent.STANDARD_INPUT_PROGRESS": "standardInputProgress",
    "OutputProgressEvent.OUTPUT_PROGRESS": "outputProgress",
    "ServerSocketConnectEvent.CONNECT": "connect",
    "TextEvent.LINK": "link",
    "TextEvent.TEXT_INPUT": "textInput",
    "ErrorEvent.ERROR": "error",
    "IOErrorEvent.IO_ERROR": "ioError",
    "IOErrorEvent.NETWORK_ERROR": "networkError",
    "IOErrorEvent.STANDARD_OUTPUT_IO_ERROR": "standardOutputIoError",
    "SecurityErrorEvent.SECURITY_ERROR": "securityError",
    "SecurityErrorEvent.CERTIFICATE_ERROR": "certificateError",
    "UncaughtErrorEvent.UNCAUGHT_ERROR": "uncaughtError",
}


@pytest.mark.parametrize("name", CONSTANTS)
def test_a_constant(name: str) -> None:
    owner, _, constant = name.partition(".")
    cls: Any = getattr(serversocket, owner)
    assert getattr(cls, constant) == CONSTANTS[name]
    assert constant in vars(cls)

"""Events print as AIR prints them."""

from __future__ import annotations

from typing import Any

import pytest

from serversocket import (
    ErrorEvent,
    Event,
    EventDispatcher,
    IOErrorEvent,
    OutputProgressEvent,
    ProgressEvent,
    SecurityErrorEvent,
    ServerSocketConnectEvent,
    TextEvent,
    UncaughtErrorEvent,
)

AIR_TEXT = "Error #2031: Socket Error. URL: 127.0.0.1"


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (Event("x"), '[Event type="x" bubbles=false cancelable=false eventPhase=2]'),
        (Event("x", True, True), '[Event type="x" bubbles=true cancelable=true eventPhase=2]'),
        (
            ProgressEvent("socketData", False, False, 5, 0),
            '[ProgressEvent type="socketData" bubbles=false cancelable=false eventPhase=2 bytesLoaded=5 bytesTotal=0]',
        ),
        (
            OutputProgressEvent("outputProgress", False, False, 1, 10),
            '[OutputProgressEvent type="outputProgress" bubbles=false cancelable=false eventPhase=2'
            " bytesPending=1 bytesTotal=10]",
        ),
        (
            ServerSocketConnectEvent("connect"),
            '[ServerSocketConnectEvent type="connect" bubbles=false cancelable=false eventPhase=2 socket=null]',
        ),
        (
            TextEvent("link", text="more"),
            '[TextEvent type="link" bubbles=false cancelable=false eventPhase=2 text="more"]',
        ),
        (
            ErrorEvent("error", text="bad", id=3),
            '[ErrorEvent type="error" bubbles=false cancelable=false eventPhase=2 text="bad" errorID=3]',
        ),
        (
            IOErrorEvent("ioError", False, False, AIR_TEXT, 2031),
            f'[IOErrorEvent type="ioError" bubbles=false cancelable=false eventPhase=2 text="{AIR_TEXT}" errorID=2031]',
        ),
        (
            SecurityErrorEvent("securityError", id=2048),
            '[SecurityErrorEvent type="securityError" bubbles=false cancelable=false eventPhase=2'
            ' text="" errorID=2048]',
        ),
        (
            UncaughtErrorEvent(),
            '[UncaughtErrorEvent type="uncaughtError" bubbles=true cancelable=true eventPhase=2]',
        ),
    ],
    ids=lambda value: type(value).__name__,
)
def test_to_string(event: Event, text: str) -> None:
    assert event.to_string() == text
    assert str(event) == text


class _Sample(Event):
    def __init__(self) -> None:
        super().__init__("sample")
        self.reads = 0

    a_string = "text"
    whole = 10.0
    half = 0.5
    quotient = float("nan")
    beyond = float("inf")
    below = float("-inf")
    number = 7
    yes = True
    nothing = None
    dispatcher = EventDispatcher()

    @property
    def counted(self) -> int:
        self.reads += 1
        return self.reads


@pytest.mark.parametrize(
    ("names", "text"),
    [
        ((), "[Sample]"),
        (("a_string",), '[Sample a_string="text"]'),
        (("quotient", "beyond", "below"), "[Sample quotient=NaN beyond=Infinity below=-Infinity]"),
        (("whole", "half", "number"), "[Sample whole=10 half=0.5 number=7]"),
        (("yes", "nothing"), "[Sample yes=true nothing=null]"),
        (("unknown",), "[Sample unknown=undefined]"),
        ((None,), "[Sample null=undefined]"),
        (("dispatcher",), "[Sample dispatcher=[object EventDispatcher]]"),
        (("event_phase", "eventPhase"), "[Sample event_phase=2 eventPhase=2]"),
        (("counted", "counted"), "[Sample counted=1 counted=2]"),
    ],
)
def test_format_to_string(names: tuple[Any, ...], text: str) -> None:
    assert _Sample().format_to_string("Sample", *names) == text


def test_a_subclass_prints_under_its_base_until_it_says_otherwise() -> None:
    assert _Sample().to_string().startswith("[Event ")

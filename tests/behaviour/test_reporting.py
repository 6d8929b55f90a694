"""Errors that nobody listens for are logged, but not without end."""

from __future__ import annotations

import time

import pytest

from serversocket import Event, EventDispatcher
from serversocket.loop import reporting

from .helpers import python


@pytest.fixture(autouse=True)
def _a_second_that_begins(monkeypatch):
    monkeypatch.setattr(reporting, "_second", time.monotonic())
    monkeypatch.setattr(reporting, "_records", 0)
    monkeypatch.setattr(reporting, "_silenced", 0)


@pytest.fixture
def raising():
    def fail(event):
        raise ValueError("on purpose")

    it = EventDispatcher()
    it.add_event_listener("x", fail)
    return it


def test_each_error_has_its_record(raising, caplog):
    for _ in range(10):
        raising.dispatch_event(Event("x"))
    assert [record.exc_info[0] for record in caplog.records] == [ValueError] * 10


def test_a_storm_of_errors_is_cut_and_counted(raising, caplog, monkeypatch):
    monkeypatch.setattr(reporting, "_second", time.monotonic() + 1000)  # it will not be over
    for _ in range(1000):
        raising.dispatch_event(Event("x"))
    assert len(caplog.records) == reporting.RECORDS_PER_SECOND
    monkeypatch.setattr(reporting, "_second", 0.0)
    raising.dispatch_event(Event("x"))
    assert len(caplog.records) == reporting.RECORDS_PER_SECOND + 1
    assert caplog.records[-1].getMessage().endswith("; 900 more before it were not logged")
    raising.dispatch_event(Event("x"))
    assert "more before it" not in caplog.records[-1].getMessage()


def test_without_stderr_nothing_goes_to_stdout():
    result = python(
        """
        import sys
        import serversocket
        sys.stderr = None
        reactor = serversocket.Reactor()
        reactor.call_later(0, lambda: 1 / 0)
        reactor.run()
        reactor.close()
        """
    )
    assert result.stdout == ""

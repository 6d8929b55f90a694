from __future__ import annotations

import threading

import pytest

from serversocket import Socket
from serversocket.reactor import current_reactor

from ..behaviour.helpers import dialling


@pytest.fixture
def no_threads(monkeypatch):
    def start(self):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", start)
        yield patch


def test_connect_fails_and_retains_nothing(no_threads):
    with Socket() as it:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            it.connect("localhost", 9)
        assert not it.connected
        current_reactor().run()  # would wait for a look-up that nobody does
        assert current_reactor().poll(0) == 0


def test_connect_works_as_soon_as_there_are_threads_again(no_threads):
    with dialling() as it:
        for _ in range(2):
            with pytest.raises(RuntimeError, match="can't start new thread"):
                it.socket.connect("localhost", it.port)
        assert it.log.types == []
        no_threads.undo()
        it.socket.connect("localhost", it.port)
        it.accept().close()
        it.until(lambda: it.log.count("close"))
        assert it.log.types == ["connect", "close"]
        it.reactor.run()

"""What a closed socket still has to send: it is sent, or given up."""

from __future__ import annotations

import time

import pytest

from serversocket import limits

from .helpers import connection, pattern, receive_exactly, run_until


@pytest.fixture
def stalled(monkeypatch):
    monkeypatch.setattr(limits, "STALLED_SECONDS", 0.3)


def test_a_peer_that_fetches_nothing_is_reset_in_the_end(stalled):
    with connection(receive_buffer=4096) as it:
        it.socket.write(pattern(12_000_000))
        it.socket.close()
        assert it.reactor.bytes_kept
        run_until(it.reactor, lambda: not it.reactor.bytes_kept)
        with pytest.raises(ConnectionResetError):
            while it.peer.recv(65536):
                pass
    it.reactor.run()


def test_a_peer_that_fetches_slowly_gets_everything(stalled):
    with connection(receive_buffer=4096) as it:
        data = pattern(12_000_000)
        it.socket.write(data)
        it.socket.close()
        received = bytearray()
        began = time.monotonic()
        while len(received) < 9_000_000:
            received += receive_exactly(it.reactor, it.peer, 1_500_000)
            pause = time.monotonic() + 0.15
            while time.monotonic() < pause:
                it.reactor.poll(0.01)
        assert time.monotonic() - began > 0.6
        received += receive_exactly(it.reactor, it.peer, len(data) - len(received))
        assert received == data
    it.reactor.run()

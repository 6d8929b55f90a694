"""What a closed socket still has to send: it is sent, or given up."""

from __future__ import annotations

import contextlib
import time

import pytest

from serversocket import defaults

from .helpers import connection, pattern, receive_exactly, reset, run_until


@pytest.fixture
def stalled(monkeypatch):
    monkeypatch.setattr(defaults, "LINGER_SECONDS", 0.1)
    monkeypatch.setattr(defaults, "STALLED_SECONDS", 0.3)


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


def fetch_slowly(it, size, seconds, answer=b""):
    """What a plain peer gets that fetches so much at once, and goes on sending."""
    received = bytearray()
    end = time.monotonic() + seconds
    it.peer.setblocking(False)
    while time.monotonic() < end:
        pause = time.monotonic() + 0.05
        while time.monotonic() < pause:
            it.reactor.poll(0.01)
        if answer:
            it.peer.send(answer)
        with contextlib.suppress(BlockingIOError):
            chunk = it.peer.recv(size)
            if not chunk:
                break
            received += chunk
    return received


def test_a_peer_that_fetches_slowly_and_goes_on_sending_gets_everything(monkeypatch):
    """The system has taken all of it, and what it holds would be gone with a reset."""
    monkeypatch.setattr(defaults, "LINGER_SECONDS", 0.6)
    with connection(reading=False, receive_buffer=65536) as it:
        data = pattern(900_000)
        it.peer.sendall(b"unread")
        it.until(lambda: it.socket.bytes_available)
        it.socket.write(data)
        it.socket.flush()
        it.socket.close()
        assert fetch_slowly(it, 25_000, 10, b"more") == data
    it.reactor.run()


def test_a_peer_that_fetches_a_little_is_not_reset_while_it_does(monkeypatch):
    """So little that the system takes no more meanwhile."""
    monkeypatch.setattr(defaults, "LINGER_SECONDS", 0.1)
    monkeypatch.setattr(defaults, "STALLED_SECONDS", 0.5)
    with connection(receive_buffer=4096) as it:
        it.socket.write(pattern(12_000_000))
        it.socket.close()
        kept = it.reactor.bytes_kept
        assert fetch_slowly(it, 2_000, 1.5)
        assert it.reactor.bytes_kept == kept
        reset(it.peer)
    it.reactor.run()


def test_it_is_over_after_the_longest_time_of_all(monkeypatch):
    monkeypatch.setattr(defaults, "LINGER_SECONDS", 0.1)
    monkeypatch.setattr(defaults, "LONGEST_LINGER", 0.5)
    with connection(receive_buffer=4096) as it:
        it.socket.write(pattern(12_000_000))
        it.socket.close()
        with pytest.raises(ConnectionResetError):
            fetch_slowly(it, 2_000, 10)
        assert not it.reactor.bytes_kept
    it.reactor.run()


def test_it_is_over_when_nobody_can_be_asked_to_look_again(stalled, monkeypatch):
    with connection(receive_buffer=4096) as it:
        it.socket.write(pattern(12_000_000))
        it.socket.close()

        def out_of_memory(*_):
            raise MemoryError

        monkeypatch.setattr(type(it.reactor), "call_later", out_of_memory)
        run_until(it.reactor, lambda: not it.reactor.bytes_kept)
    it.reactor.run()

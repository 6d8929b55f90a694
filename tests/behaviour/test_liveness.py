"""`keep_alive`, `user_timeout` and `idle_timeout`: peers that have gone without a word."""

from __future__ import annotations

import contextlib
import errno
import math
import socket
import time

import pytest

import serversocket
from serversocket import IOError, RangeError, Socket

from .helpers import (
    PATIENCE,
    connection,
    dialling,
    in_time,
    on_linux,
    pattern,
    receive_exactly,
    reset,
    run_until,
    settle,
    within,
)

NAMES = ["keep_alive", "user_timeout", "idle_timeout"]


def option(it: Socket, level: int, name: int) -> int:
    with socket.socket(fileno=it.fileno()) as view:
        try:
            return view.getsockopt(level, name)
        finally:
            view.detach()


@pytest.mark.parametrize("name", NAMES)
def test_it_is_off_at_first_and_what_it_was_set_to(name):
    it = Socket()
    assert getattr(it, name) is None
    setattr(it, name, 30)
    assert getattr(it, name) == 30
    setattr(it, name, 0)
    assert getattr(it, name) is None
    setattr(it, name, 2.5)
    setattr(it, name, None)
    assert getattr(it, name) is None


@pytest.mark.parametrize("value", ["1", True, [], object()])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_number_is_a_type_error(name, value):
    it = Socket()
    with pytest.raises(TypeError, match=f"{name} must be a number of seconds or None"):
        setattr(it, name, value)
    assert getattr(it, name) is None


@pytest.mark.parametrize("value", [-1, -0.5, math.nan, -math.inf])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_negative_is_a_range_error(name, value):
    it = Socket()
    with pytest.raises(RangeError, match=f"#2006.*{name}: {value}"):
        setattr(it, name, value)
    assert getattr(it, name) is None


@pytest.mark.parametrize("value", [math.inf, 10**400, 1e30])
@pytest.mark.parametrize("name", NAMES)
def test_what_is_longer_than_the_system_counts_is_cut(name, value):
    with connection() as it:
        setattr(it.socket, name, value)
        settle(it.reactor)
        assert it.socket.connected


@on_linux
def test_the_system_is_told():
    with connection() as it:
        it.socket.keep_alive = 30
        it.socket.user_timeout = 1.5
        assert option(it.socket, socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert option(it.socket, socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
        assert option(it.socket, socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 10
        assert option(it.socket, socket.IPPROTO_TCP, socket.TCP_KEEPCNT) == 3
        assert option(it.socket, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500
        it.socket.keep_alive = None
        it.socket.user_timeout = None
        assert option(it.socket, socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 0
        assert option(it.socket, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0


@on_linux
def test_it_takes_effect_when_a_connect_succeeds():
    with dialling() as it:
        it.socket.keep_alive = 60
        it.socket.user_timeout = 2
        it.socket.connect("127.0.0.1", it.port)
        with it.accept():
            assert option(it.socket, socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
            assert option(it.socket, socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 2000


def test_a_connection_that_is_idle_for_too_long_breaks():
    with connection() as it:
        it.socket.idle_timeout = 0.1
        began = time.monotonic()
        it.until_event("close")
        assert time.monotonic() - began >= 0.09
        assert it.log.types == ["ioError", "close"]
        error = it.log.of("ioError")[0]
        assert error.errno == errno.ETIMEDOUT
        assert "idle" in error.text
        with pytest.raises(ConnectionResetError):
            it.peer.recv(1)


@pytest.mark.parametrize("direction", ["in", "out"])
def test_bytes_in_either_direction_keep_it_alive(direction):
    def attempt(seconds):
        with connection() as it:
            it.socket.idle_timeout = 2 * seconds
            for _ in range(30):
                with within(seconds):
                    time.sleep(seconds / 10)
                    if direction == "in":
                        it.peer.sendall(b"x")
                    else:
                        it.socket.write(b"x")
                        receive_exactly(it.reactor, it.peer, 1)
                    it.reactor.poll(0)
            assert it.socket.connected
            it.until_event("close")

    in_time(attempt)


def test_a_client_is_idle_from_its_connect_on():
    with dialling() as it:
        it.socket.idle_timeout = 0.1
        it.socket.connect("127.0.0.1", it.port)
        with it.accept():
            it.until(lambda: it.log.count("close"))
            assert it.log.of("ioError")[0].errno == errno.ETIMEDOUT


def test_it_can_be_taken_back():
    with connection() as it:
        it.socket.idle_timeout = 0.05
        it.socket.idle_timeout = None
        end = time.monotonic() + 0.3
        while time.monotonic() < end:
            it.reactor.poll(0.02)
        assert it.socket.connected


def test_a_shorter_timeout_after_a_longer_one_is_kept():
    with connection() as slow, connection() as fast:
        slow.socket.idle_timeout = 3600
        fast.socket.idle_timeout = 0.05
        fast.until_event("close")
        assert slow.socket.connected


def test_run_does_not_wait_for_the_timer_of_a_connection_that_is_over():
    with connection() as it:
        it.socket.idle_timeout = 3600
        it.socket.close()
    assert not it.reactor._has_scheduled
    serversocket.run()


def test_an_idle_socket_that_nobody_listens_to_is_closed_too():
    with connection(types=()) as it:
        it.socket.idle_timeout = 0.05
        run_until(it.reactor, lambda: not it.socket.connected)


def test_a_peer_that_fetches_slowly_is_not_idle():
    data = pattern(300_000)

    def attempt(seconds):
        with connection(receive_buffer=4096) as it:
            it.socket.idle_timeout = 2 * seconds
            it.socket.write(data)
            received = b""
            while len(received) < len(data):
                with within(seconds):
                    time.sleep(seconds / 5)
                    received += receive_exactly(it.reactor, it.peer, 20_000)
            assert received == data

    in_time(attempt)


def test_writing_to_a_peer_that_fetches_nothing_does_not_keep_it_alive():
    """The system goes on taking what is written, for as long as it has room."""
    with connection(receive_buffer=2048) as it:
        it.socket.write(bytes(20_000))
        settle(it.reactor)
        it.socket.idle_timeout = 0.3
        end = time.monotonic() + PATIENCE
        while it.socket.connected and time.monotonic() < end:
            it.socket.write(b"ping")
            it.reactor.poll(0.02)
        assert it.socket.bytes_pending == 0
        it.until_event("close")
        assert it.log.of("ioError")[0].errno == errno.ETIMEDOUT


def test_a_bad_option_is_told_with_its_name(monkeypatch):
    with connection() as it:

        def refuse(level, name, value):
            raise OSError(errno.ENOPROTOOPT, "Protocol not available")

        monkeypatch.setattr(it.socket, "_set_option", refuse)
        with pytest.raises(IOError, match="keep_alive: Protocol not available"):
            it.socket.keep_alive = 5
        assert it.socket.keep_alive is None


def test_who_has_sent_while_the_program_was_busy_was_not_idle():
    """What has come lies in the system, because nobody had the time to read it."""

    def attempt(seconds):
        with connection() as busy, connection() as it:
            with idle_while_busy(it, busy, seconds, lambda: it.peer.sendall(b"alive")):
                busy.until_event("socketData")
                it.until_event("socketData")
            assert it.log.types == ["socketData"]
            assert it.log.data == b"alive"
            it.until_event("close")  # and now it is
            assert it.log.of("ioError")[0].errno == errno.ETIMEDOUT

    in_time(attempt)


def test_the_peers_end_that_came_while_the_program_was_busy_is_no_idleness():
    def attempt(seconds):
        with connection() as busy, connection() as it:
            with idle_while_busy(it, busy, seconds, it.peer.close):
                it.until_event("close")
            assert it.log.types == ["close"]

    in_time(attempt)


@contextlib.contextmanager
def idle_while_busy(it, busy, seconds, act):
    """Has a peer act while a listener of another connection takes longer than this one may be idle."""

    def work(event):
        act()
        time.sleep(5 * seconds)

    it.socket.idle_timeout = 2 * seconds
    with within(6 * seconds):
        busy.socket.add_event_listener("socketData", work)
        busy.peer.sendall(b"x")
        yield


@pytest.mark.parametrize("leave", [lambda peer: None, lambda peer: peer.shutdown(socket.SHUT_WR), reset])
def test_who_was_idle_while_paused_is_told_so_whatever_comes_last(leave):
    with connection() as it:
        it.socket.idle_timeout = 0.05
        it.socket.pause()
        leave(it.peer)
        it.until_event("close")
        (event,) = it.log.of("ioError")
        assert event.errno == errno.ETIMEDOUT
        assert "idle" in event.text

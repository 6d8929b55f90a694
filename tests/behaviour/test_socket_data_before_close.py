from __future__ import annotations

import select
import socket

import pytest

import serversocket

from .helpers import FAMILIES, PATIENCE, connection, pattern, receive_exactly, send_all, settle


@pytest.mark.parametrize("host", FAMILIES)
@pytest.mark.parametrize("size", [1, 65_535, 65_536, 65_537, 131_072, 262_144, 300_000, 1_000_000])
def test_all_data_comes_before_close(host, size):
    data = pattern(size)
    with connection(host) as it:
        send_all(it.reactor, it.peer, data)
        it.peer.close()
        it.until(lambda: it.log.count("close"))
        assert it.log.types == ["socketData", "close"]
        assert it.log.data == data
        assert sum(event.bytes_loaded for event in it.log.of("socketData")) == size
        assert {event.bytes_total for event in it.log.of("socketData")} == {0}
        settle(it.reactor)
        assert it.log.count("close") == 1


def test_data_and_end_in_one_batch():
    with connection() as it:
        it.peer.sendall(b"short")
        it.peer.close()
        it.until(lambda: it.log.count("close"))
        assert [event.type for event in it.log.events] == ["socketData", "close"]
        assert it.log.events[0].bytes_loaded == 5


def test_unread_data_stays_readable_in_the_close_handler():
    with connection(reading=False) as it:
        seen = []

        def closed(event):
            seen.append((event.target.connected, event.target.bytes_available, event.target.read(4)))

        it.socket.add_event_listener("close", closed)
        it.peer.sendall(b"the rest of it")
        it.peer.close()
        it.until(lambda: seen)
        assert seen == [(False, 14, b"the ")]
        assert it.socket.read_utf_bytes(4) == "rest"
        assert it.socket.bytes_available == 6
        assert it.socket.peek() == it.socket.read() == b" of it"


def test_without_a_data_listener_everything_waits():
    data = pattern(500_000)
    with connection(types=("close",)) as it:
        send_all(it.reactor, it.peer, data)
        it.peer.close()
        it.until(lambda: it.log.count("close"))
        assert it.socket.bytes_available == len(data)
        assert it.socket.read() == data


def test_addresses_are_known_in_and_after_the_close():
    with connection() as it:
        known = (it.socket.remote_address, it.socket.remote_port, it.socket.local_address, it.socket.local_port)
        seen = []

        def addresses(event):
            its = event.target
            seen.append((its.remote_address, its.remote_port, its.local_address, its.local_port))

        it.socket.add_event_listener("close", addresses)
        it.peer.close()
        it.until(lambda: seen)
        addresses(it.log.events[-1])
        assert seen == [known, known]


def test_closing_in_the_data_handler_ends_the_delivery():
    with connection() as it:
        it.socket.add_event_listener("socketData", lambda event: event.target.close(), priority=-1)
        it.peer.sendall(b"x" * 300_000)
        it.peer.close()
        it.until(lambda: it.log.events)
        settle(it.reactor)
        assert [event.type for event in it.log.events] == ["socketData"]
        with pytest.raises(serversocket.IOError):
            it.socket.read()


def test_aborting_in_the_data_handler_ends_the_delivery():
    with connection() as it:
        it.socket.add_event_listener("socketData", lambda event: event.target.abort(), priority=-1)
        it.peer.sendall(b"x")
        it.peer.close()
        it.until(lambda: it.log.events)
        settle(it.reactor)
        assert [event.type for event in it.log.events] == ["socketData"]


def test_empty_connection_just_closes():
    with connection() as it:
        it.peer.close()
        it.until(lambda: it.log.count("close"))
        assert it.log.types == ["close"]
        assert type(it.log.events[0]) is serversocket.Event


@pytest.mark.parametrize("half_open", [False, True])
@pytest.mark.parametrize("size", [5, 8_000_000])
def test_progress_of_the_answer_to_a_request_that_ends_the_peers_stream(size, half_open):
    types = ("socketData", "outputProgress", "end", "close")
    with connection(types=types) as it:
        it.socket.allow_half_open = half_open
        it.socket.add_event_listener("socketData", lambda event: it.socket.write(bytes(size)))
        it.peer.sendall(b"request")
        it.peer.shutdown(socket.SHUT_WR)
        select.select([it.socket.fileno()], [], [], PATIENCE)
        it.until_event("end" if half_open else "close")
        assert it.log.types[:3] == ["socketData", "outputProgress", "end" if half_open else "close"]
        assert receive_exactly(it.reactor, it.peer, size) == bytes(size)


@pytest.mark.parametrize("flushed", [False, True])
@pytest.mark.parametrize("then", ["", "close", "pause"])
def test_progress_of_what_was_written_before_the_end_is_known(flushed, then):
    with connection() as it:
        if then:
            it.socket.add_event_listener("outputProgress", lambda event: getattr(it.socket, then)())
        it.socket.write(b"x")
        if flushed:
            it.socket.flush()
        it.peer.shutdown(socket.SHUT_WR)
        it.until_event("outputProgress")
        settle(it.reactor)
        if then == "pause":
            assert it.log.types == ["outputProgress"]
            it.socket.resume()
            it.until_event("close")
        assert it.log.types == ["outputProgress"] + ["close"] * (then != "close")

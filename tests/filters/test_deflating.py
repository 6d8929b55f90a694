"""A filter between descriptor and program: all that a connection does is done through one that deflates."""

from __future__ import annotations

import contextlib
import errno
import gc
import socket
import zlib

import pytest

from serversocket import Event, IOError, Socket
from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import (
    EVENTS,
    Connection,
    Log,
    connection,
    listening,
    pattern,
    receive_all,
    receive_exactly,
    run_until,
    send_all,
    settle,
)
from .filters import Deflate, Plain, answered, deflated, inflated

ALL = (*EVENTS, "end")
MIB = pattern(1024 * 1024)


@pytest.fixture
def it():
    with connection(admission=lambda stream: Deflate()) as it:
        yield it


def forget(sockets: list[Socket]) -> None:
    sockets.clear()
    gc.collect()


def echo(event: Event) -> None:
    event.target.write(event.target.read())


# ---- both directions


def test_what_is_sent_comes_and_what_is_written_goes(it):
    it.log.reading = False
    it.socket.add_event_listener("socketData", echo, priority=1)
    it.peer.sendall(deflated(b"a message")[:-4])
    answer = b""
    inflater = zlib.decompressobj()

    def come() -> bool:
        nonlocal answer
        it.peer.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            answer += inflater.decompress(it.peer.recv(65536))
        return answer == b"a message"

    it.until(come)


def test_a_mebibyte_is_echoed_whole_however_it_is_cut(it):
    it.socket.add_event_listener(
        "socketData", lambda event: event.target.write(bytes(it.log.data)) and it.log.data.clear()
    )
    assert answered(it.reactor, it.peer, MIB) == MIB
    it.until(lambda: it.log.count("close"))
    assert it.log.types[-1] == "close"
    assert it.reactor.bytes_kept == 0


@pytest.mark.parametrize("step", [1, 2, 7])
def test_input_is_the_same_split_anywhere(it, step):
    data = bytes(range(256)) * 4
    stream = deflated(data)
    for start in range(0, len(stream), step):
        it.peer.sendall(stream[start : start + step])
        it.reactor.poll(0)
    it.until_event("close")
    assert it.log.data == data


def test_bytes_of_the_program_and_of_the_wire_are_counted_apart(it):
    data = bytes(100_000)
    stream = deflated(data)
    send_all(it.reactor, it.peer, stream[:-4])
    it.until(lambda: it.log.data == data)
    assert it.socket._wire_counts[0] == len(stream) - 4
    it.socket.write(data)
    it.socket.flush()
    assert it.socket.bytes_pending == 0
    sent = it.socket._wire_counts[1]
    assert 0 < sent < 1000
    assert len(receive_exactly(it.reactor, it.peer, sent)) == sent


def test_output_is_pending_until_the_last_byte_of_the_wire_is_with_the_system():
    with connection(admission=lambda stream: Plain(), receive_buffer=4096) as it:
        it.socket.buffer_limit = 2**30
        size = 16 * 1024 * 1024
        data = pattern(size)
        it.socket.write(data)
        it.socket.flush()
        pending, (_, sent) = it.socket.bytes_pending, it.socket._wire_counts
        assert 0 < pending < size
        assert size - sent - 65536 <= pending <= size - sent + 65536
        assert it.reactor.bytes_kept <= size + 262144
        assert receive_exactly(it.reactor, it.peer, size) == data
        it.until(lambda: it.socket.bytes_pending == 0)
        assert it.log.of("outputProgress")[-1].bytes_pending == 0
        assert it.log.of("outputProgress")[-1].bytes_total == size
        assert it.reactor.bytes_kept == 0


def test_many_small_writes_arrive_in_order(it):
    for number in range(5000):
        it.socket.write(number.to_bytes(4, "big"))
    it.socket.close()
    received = inflated(receive_all(it.reactor, it.peer))
    assert received == b"".join(number.to_bytes(4, "big") for number in range(5000))


# ---- reading


def test_a_paused_connection_gets_nothing_until_it_goes_on(it):
    it.socket.pause()
    it.peer.sendall(deflated(b"later")[:-4])
    settle(it.reactor)
    assert it.log.types == []
    it.socket.resume()
    it.until(lambda: it.log.data == b"later")


def test_input_may_be_left_viewed_skipped_and_read_as_values(it):
    it.log.reading = False
    it.peer.sendall(deflated(b"\x00\x00\x00\x07abcdefg")[:-4])
    it.until_event("socketData")
    assert it.socket.bytes_available == 11
    assert it.socket.view(4) == b"\0\0\0\7"
    assert it.socket.peek(4) == b"\0\0\0\7"
    assert it.socket.read_unsigned_int() == 7
    assert it.socket.skip(2) == 2
    assert it.socket.read_utf_bytes(5) == "cdefg"
    assert it.reactor.bytes_kept == 0


def test_a_view_keeps_its_bytes(it):
    it.log.reading = False
    views = []
    it.socket.add_event_listener("socketData", lambda event: views.append(event.target.view()) or event.target.skip())
    stream = zlib.compressobj()
    for part in (b"first", b"second"):
        before = len(views)
        it.peer.sendall(stream.compress(part) + stream.flush(zlib.Z_SYNC_FLUSH))
        it.until(lambda before=before: len(views) > before)
    assert views == [b"first", b"second"]


def test_a_read_buffer_gets_input_piece_by_piece(it):
    buffer = bytearray(1000)
    sizes, seen = [], bytearray()
    it.log.reading = False
    it.socket.read_buffer = buffer

    def read(event: Event) -> None:
        sizes.append(event.bytes_loaded)
        size = event.target.readinto(buffer)
        seen.extend(buffer[:size])

    it.socket.add_event_listener("socketData", read)
    data = pattern(4500)
    it.peer.sendall(deflated(data)[:-4])
    it.until(lambda: len(seen) == len(data))
    assert seen == data
    assert max(sizes) <= 1000


def test_a_pause_within_a_read_buffer_keeps_the_rest(it):
    buffer = bytearray(1000)
    seen = bytearray()
    it.log.reading = False
    it.socket.read_buffer = buffer

    def read(event: Event) -> None:
        seen.extend(event.target.read())
        if len(seen) < 4500:
            event.target.pause()

    it.socket.add_event_listener("socketData", read)
    data = pattern(4500)
    it.peer.sendall(deflated(data)[:-4])
    it.until(lambda: seen)
    settle(it.reactor)
    assert seen == data[:1000]
    assert it.socket.bytes_available == 3500
    it.socket.resume()
    it.until(lambda: len(seen) == 4500)
    assert seen == data


def test_what_a_small_stream_inflates_to_is_bounded():
    with connection(admission=lambda stream: Deflate(), reading=False) as it:
        it.socket.buffer_limit = 100_000
        send_all(it.reactor, it.peer, deflated(bytes(10_000_000)))
        it.until_event("close")
        assert it.log.types[-2:] == ["ioError", "close"]
        assert it.log.of("ioError")[0].error.errno == errno.ENOBUFS
        assert len(it.socket.read()) == it.log.of("socketData")[-1].bytes_loaded
        assert it.reactor.bytes_kept == 0


# ---- its end


def test_the_peers_end_inside_the_stream_is_the_end(it):
    it.peer.sendall(deflated(b"all"))  # and no FIN
    it.until_event("close")
    assert it.log.types == ["socketData", "close"]
    assert it.log.data == b"all"
    assert inflated(receive_all(it.reactor, it.peer)) == b""


def test_a_truncated_stream_is_an_error(it):
    it.peer.sendall(deflated(b"not all of it")[:-4])
    it.peer.shutdown(socket.SHUT_WR)
    it.until_event("close")
    assert it.log.types == ["socketData", "ioError", "close"]
    error = it.log.of("ioError")[0].error
    assert isinstance(error, IOError)
    assert "truncated" in str(error)
    assert it.log.data == b"not all of it"


def test_half_open_both_ends_come_one_by_one():
    with connection(admission=lambda stream: Deflate(), types=ALL) as it:
        it.socket.allow_half_open = True
        it.peer.sendall(deflated(b"question"))
        it.peer.shutdown(socket.SHUT_WR)
        it.until(lambda: it.log.count("end"))
        assert it.log.types == ["socketData", "end"]
        it.socket.write(b"answer")
        it.socket.close()
        assert inflated(receive_all(it.reactor, it.peer)) == b"answer"


def test_write_eof_ends_the_stream_and_input_goes_on():
    with connection(admission=lambda stream: Deflate(), types=ALL) as it:
        it.socket.write(b"question")
        it.socket.write_eof()
        assert inflated(receive_all(it.reactor, it.peer)) == b"question"
        assert it.socket.connected
        it.peer.sendall(deflated(b"answer"))
        it.until_event("close")
        assert it.log.data == b"answer"


def test_a_close_while_output_waits_sends_all_of_it():
    with connection(admission=lambda stream: Deflate(), receive_buffer=4096) as it:
        data = pattern(8 * 1024 * 1024)
        it.socket.buffer_limit = 2**30
        it.socket.write(data)
        it.socket.close()
        assert not it.socket.connected
        assert inflated(receive_all(it.reactor, it.peer)) == data
    settle(current_reactor())
    assert current_reactor().bytes_kept == 0


def test_an_abort_resets_and_keeps_nothing(it):
    it.socket.write(MIB)
    it.socket.abort()
    with pytest.raises(ConnectionResetError):
        while it.peer.recv(65536):
            pass
    assert it.reactor.bytes_kept == 0


def test_one_that_is_collected_resets_for_its_stream_has_no_end():
    reactor = current_reactor()
    sockets = []
    with listening() as server:
        server._admission = lambda stream: Deflate()
        server.add_event_listener("connect", lambda event: sockets.append(event.socket))
        with socket.create_connection(("127.0.0.1", server.local_port)) as peer:
            run_until(reactor, lambda: sockets)
            with pytest.warns(ResourceWarning):
                forget(sockets)
            with pytest.raises(ConnectionResetError):
                peer.recv(1)


def test_one_that_is_unheld_ends_as_by_close():
    reactor = current_reactor()
    with listening() as server:
        server._admission = lambda stream: Deflate()
        server.add_event_listener("connect", lambda event: event.socket.write(b"go away"))
        with socket.create_connection(("127.0.0.1", server.local_port)) as peer:
            assert inflated(receive_all(reactor, peer)) == b"go away"


def test_idle_goes_by_what_the_peer_fetches_of_the_wire(it):
    it.socket.idle_timeout = 0.05
    it.until_event("close")
    assert it.log.of("ioError")[0].error.errno == errno.ETIMEDOUT


def test_closing_the_reactor_resets_what_is_unsent():
    with connection(admission=lambda stream: Plain(), receive_buffer=4096) as it:
        it.socket.write(bytes(16 * 1024 * 1024))
        it.reactor.poll(0)
        it.socket.close()
        it.reactor.close()
        with pytest.raises(ConnectionResetError):
            while it.peer.recv(65536):
                pass


# ---- a client's


def test_a_client_has_one_too():
    reactor = current_reactor()
    with socket.create_server(("127.0.0.1", 0)) as listener, Socket() as client:
        log = Log(client)
        client.connect("127.0.0.1", listener.getsockname()[1])
        run_until(reactor, lambda: client.connected)
        client._install(Deflate())
        peer, _ = listener.accept()
        with peer:
            client.write(b"question")
            client.write_eof()
            assert inflated(receive_all(reactor, peer)) == b"question"
            peer.sendall(deflated(b"answer"))
            run_until(reactor, lambda: log.count("close"))
            assert log.data == b"answer"


def test_the_order_of_its_calls():
    made = []
    with connection(admission=lambda stream: made.append(Plain()) or made[0], types=ALL) as it:
        it.socket.allow_half_open = True
        it.peer.sendall(b"in")
        it.until(lambda: it.log.data == b"in")
        it.socket.write(b"out")
        it.socket.flush()
        it.peer.shutdown(socket.SHUT_WR)
        it.until_event("end")
        it.socket.close()
        assert receive_all(it.reactor, it.peer) == b"out"
    assert made[0].names == ["started", "received", "written", "ended", "closing"]


def check_is_unused(it: Connection) -> None:
    assert it.socket._wire_counts is None
    assert it.socket._filter_error is None


def test_without_a_filter_there_is_nothing_of_it():
    with connection() as it:
        check_is_unused(it)
        it.socket._ask_filter()
        check_is_unused(it)


def test_there_is_one_at_a_time(it):
    with pytest.raises(RuntimeError, match="filter already"):
        it.socket._install(Deflate())
    with pytest.raises(TypeError):
        it.socket._install(object())


def test_one_in_a_cycle_with_its_filter_is_collected():
    reactor = current_reactor()
    gone = []

    class Knowing(Plain):
        stream: Socket

        def __del__(self) -> None:
            gone.append(True)

    with listening() as server:
        sockets = []

        def admit(stream: Socket) -> Knowing:
            filter = Knowing()
            filter.stream = stream
            return filter

        server._admission = admit
        server.add_event_listener("connect", lambda event: sockets.append(event.socket))
        with socket.create_connection(("127.0.0.1", server.local_port)) as peer:
            run_until(reactor, lambda: sockets)
            sockets[0].write(b"sent")
            reactor.poll(0)
            with pytest.warns(ResourceWarning):
                forget(sockets)
            assert gone
            with contextlib.suppress(ConnectionResetError):  # in a cycle, Python's own socket may be finalized first
                while peer.recv(65536):
                    pass
    assert reactor.bytes_kept == 0

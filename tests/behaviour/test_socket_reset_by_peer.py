from __future__ import annotations

import errno
import select
from contextlib import ExitStack

import pytest

import serversocket
from serversocket import IOErrorEvent

from .helpers import FAMILIES, PATIENCE, connection, on_linux, on_posix, pattern, python, reset, settle

pytestmark = on_posix


@pytest.mark.parametrize("host", FAMILIES)
def test_one_io_error_and_then_close(host):
    with connection(host) as it:
        remote = (it.socket.remote_address, it.socket.remote_port)
        reset(it.peer)
        it.until(lambda: it.log.count("close"))
        settle(it.reactor)
        assert it.log.types == ["ioError", "close"]
        assert len(it.log.events) == 2
        error = it.log.events[0]
        assert type(error) is IOErrorEvent
        assert (error.error_id, error.errno, error.target) == (2031, errno.ECONNRESET, it.socket)
        assert error.text.startswith("Error #2031: Socket Error. recv ")
        assert error.text.endswith(f": {error.strerror}")
        assert isinstance(error.error, ConnectionResetError)
        assert not it.socket.connected
        assert (it.socket.remote_address, it.socket.remote_port) == remote


@on_linux
def test_what_arrived_before_is_delivered_first():
    with connection() as it:
        it.peer.sendall(b"last words")
        reset(it.peer)
        it.until(lambda: it.log.count("close"))
        assert it.log.types == ["socketData", "ioError", "close"]
        assert it.log.data == b"last words"


@on_linux
def test_much_that_arrived_before_is_delivered_first():
    data = pattern(200_000)
    with connection() as it:
        it.peer.setblocking(False)
        sent = it.peer.send(data)
        reset(it.peer)
        it.until(lambda: it.log.count("close"))
        assert it.log.types == ["socketData", "ioError", "close"]
        assert it.log.count("ioError") == 1
        # What was still on its way is lost with the connection; what is there is a beginning without gaps.
        assert data[:sent].startswith(it.log.data)


@on_linux
def test_peer_that_closes_with_unread_input_is_a_reset():
    with connection() as it:
        it.socket.write(b"never read")
        it.socket.flush()
        it.peer.recv(1)
        it.peer.close()
        it.until(lambda: it.log.count("close"))
        types = [type for type in it.log.types if type != "outputProgress"]
        assert types == ["ioError", "close"]
        assert it.log.of("ioError")[0].errno == errno.ECONNRESET


def test_connected_is_false_in_both_handlers():
    with connection(types=()) as it:
        seen = []
        for type in ("ioError", "close"):
            it.socket.add_event_listener(type, lambda event: seen.append((event.type, event.target.connected)))
        reset(it.peer)
        it.until(lambda: len(seen) == 2)
        assert seen == [("ioError", False), ("close", False)]


def test_pending_output_is_dropped():
    with connection(receive_buffer=4096) as it:
        it.socket.write(bytes(8_000_000))
        it.socket.flush()
        assert it.socket.bytes_pending > 0
        reset(it.peer)
        it.until(lambda: it.log.count("close"))
        assert it.socket.bytes_pending == 0
        assert it.log.count("ioError") == it.log.count("close") == 1


def test_write_after_the_reset_breaks_the_connection_later():
    with connection() as it:
        reset(it.peer)
        # The reactor has not run, so the socket does not know yet.
        for _ in range(3):
            it.socket.write(b"into the void")
            it.socket.flush()
        assert it.log.events == []
        it.until(lambda: it.log.count("close"))
        settle(it.reactor)
        assert [type for type in it.log.types if type != "outputProgress"] == ["ioError", "close"]
        assert it.log.of("ioError")[0].errno in (errno.ECONNRESET, errno.EPIPE)


@on_linux
def test_data_is_delivered_although_a_write_failed_first():
    with connection() as it:
        it.peer.sendall(b"read me")
        reset(it.peer)
        it.socket.write(b"x")
        it.socket.flush()
        it.until(lambda: it.log.count("close"))
        assert it.log.data == b"read me"
        assert [type for type in it.log.types if type != "outputProgress"] == ["socketData", "ioError", "close"]


def test_calls_after_the_reset_are_refused():
    with connection() as it:
        reset(it.peer)
        it.until(lambda: it.log.count("close"))
        for call, arguments in (("write", (b"x",)), ("flush", ()), ("close", ()), ("abort", ())):
            with pytest.raises(serversocket.IOError, match=r"^Error #2002: "):
                getattr(it.socket, call)(*arguments)
        assert it.socket.read() == b""


def test_without_listeners_nothing_is_said(uncaught):
    with connection(types=()) as it:
        reset(it.peer)
        it.until(lambda: not it.socket.connected)
        settle(it.reactor)
        assert uncaught == []


def test_without_a_listener_of_errors_the_close_is_told():
    with connection(types=("close",)) as it:
        reset(it.peer)
        it.until(lambda: it.log.events)
        settle(it.reactor)
        assert it.log.types == ["close"]


def test_connecting_anew_in_the_error_handler_takes_the_place_of_the_close():
    with connection() as it:

        def again(event):
            it.socket.connect("127.0.0.1", server.local_port)

        with serversocket.ServerSocket() as server:
            server.bind(0, "127.0.0.1")
            server.listen()
            it.socket.add_event_listener("ioError", again)
            reset(it.peer)
            it.until(lambda: it.socket.connected and it.log.count("ioError"))
            settle(it.reactor)
            assert it.log.types == ["ioError", "connect"]
            it.socket.close()


@on_linux
def test_broken_pipe_does_not_end_a_process_that_has_sigpipe_at_its_default():
    python(
        """
        import signal, socket, struct
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        import serversocket
        server = serversocket.ServerSocket()
        server.bind(0, "127.0.0.1")
        server.listen()
        told = []
        sockets = []
        def accept(event):
            sockets.append(event.socket)
            for type in ("ioError", "close"):
                event.socket.add_event_listener(type, lambda event: told.append(event.type))
        server.add_event_listener("connect", accept)
        client = socket.create_connection(("127.0.0.1", server.local_port))
        while not sockets:
            server.reactor.poll(1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        for _ in range(5):
            for piece in (b"x" * 10000, b"y", b"z" * 10000):
                sockets[0].write(piece)
            sockets[0].flush()
            if not sockets[0].connected:
                break
        while "close" not in told:
            server.reactor.poll(1)
        assert told == ["ioError", "close"], told
        server.close()
        """
    )


def test_resets_of_many_in_one_batch():
    with ExitStack() as stack:
        connections = [stack.enter_context(connection()) for _ in range(30)]
        for number, it in enumerate(connections):
            if number % 2:
                it.peer.sendall(b"x")
            reset(it.peer)
        connections[0].until(lambda: all(it.log.count("close") for it in connections))
        assert all(it.log.count("ioError") == it.log.count("close") == 1 for it in connections)


@pytest.mark.parametrize("more", [b"", b"never sent"])
def test_progress_of_what_was_flushed_is_told_before_the_reset(more):
    with connection() as it:
        it.socket.write(b"sent")
        it.socket.flush()
        reset(it.peer)
        select.select([it.socket.fileno()], [], [], PATIENCE)
        if more:
            it.socket.write(more)
            it.socket.flush()  # fails, and is told of by an event
        it.until_event("close")
        assert it.log.types == ["outputProgress", "ioError", "close"]
        progress = it.log.of("outputProgress")[0]
        assert (progress.bytes_pending, progress.bytes_total) == (len(more), len(b"sent" + more))
        assert it.socket.bytes_pending == 0

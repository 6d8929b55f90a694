"""A connection under TLS is one like any other, and its end is the peer's word, not that of the wire."""

from __future__ import annotations

import gc
import socket
import ssl

import pytest

from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import reset, run_until, settle
from .peers import VERSIONS, Peer


@pytest.fixture(params=VERSIONS)
def version(request):
    return request.param


def connected(it, authority, version=None) -> Peer:
    """A client that has come through, as the last of the server's sockets."""
    count = len(it.sockets)
    peer = it.peer(authority.client_context(version)).handshake()
    it.until(lambda: len(it.sockets) > count)
    return peer


def test_the_peer_s_close_notify_is_its_end_and_is_answered(it, authority, version):
    peer = connected(it, authority, version)
    peer.send(b"last")
    peer.notify()
    it.until(lambda: it.logs[0].count("close"))
    assert it.logs[0].types == ["socketData", "close"]
    assert it.logs[0].data == b"last"
    assert peer.receive_all() == b""
    assert it.sockets[0].tls.version


def test_with_allow_half_open_an_answer_follows(it, authority, version):
    peer = connected(it, authority, version)
    it.sockets[0].allow_half_open = True
    peer.send(b"question")
    peer.notify()
    it.until(lambda: it.logs[0].count("end"))
    it.sockets[0].write(b"answer")
    it.sockets[0].close()
    assert peer.receive_all() == b"answer"


@pytest.mark.parametrize("how", ["end", "reset"])
def test_an_end_without_close_notify_is_truncated(it, authority, version, how):
    peer = connected(it, authority, version)
    peer.send(b"first")
    it.until(lambda: it.logs[0].data == b"first")
    if how == "end":
        peer.sock.shutdown(socket.SHUT_WR)
    else:
        reset(peer.sock)
    it.until(lambda: it.logs[0].count("close"))
    assert it.logs[0].types == ["socketData", "ioError", "close"]
    event = it.logs[0].of("ioError")[0]
    if how == "end":
        assert event.errno is None
        assert "truncated" in event.text
    assert it.errors == []


def test_what_came_before_stays_readable(it, authority):
    it.reading = False
    peer = connected(it, authority)
    peer.send(b"first")
    peer.sock.shutdown(socket.SHUT_WR)
    it.until(lambda: it.logs[0].count("close"))
    assert it.sockets[0].read() == b"first"


def test_where_close_notify_is_not_required_it_is_a_plain_end(it, authority, version):
    peer = connected(it, authority, version)
    assert it.sockets[0].require_close_notify
    it.sockets[0].require_close_notify = False
    assert not it.sockets[0].requireCloseNotify
    peer.send(b"all")
    peer.sock.shutdown(socket.SHUT_WR)
    it.until(lambda: it.logs[0].count("close"))
    assert it.logs[0].types == ["socketData", "close"]


def test_an_end_at_every_byte_of_a_record_is_truncated(it, authority, version):
    peer = connected(it, authority, version)
    peer.send(b"x" * 20)
    it.until(lambda: it.logs[0].data)
    peer.tls.write(b"y" * 20)
    size = peer.outgoing.pending
    for position in range(1, size):
        peer = connected(it, authority, version)
        it.sockets[-1].require_close_notify = False
        peer.tls.write(b"y" * 20)
        peer.sock.sendall(peer.outgoing.read()[:position])
        peer.sock.shutdown(socket.SHUT_WR)
        log = it.logs[-1]
        it.until(lambda: log.count("close"))  # noqa: B023
        assert log.types == ["ioError", "close"]
        assert log.of("ioError")[0].errno is None


def test_a_broken_record_gets_an_alert(it, authority, version):
    peer = connected(it, authority, version)
    peer.send(b"good")
    peer.tls.write(b"bad")
    record = bytearray(peer.outgoing.read())
    record[-1] ^= 1
    peer.sock.sendall(bytes(record))
    it.until(lambda: it.logs[0].count("close"))
    assert it.logs[0].types == ["socketData", "ioError", "close"]
    assert it.logs[0].of("ioError")[0].errno is None
    assert it.logs[0].data == b"good"
    with pytest.raises(ssl.SSLError, match="ALERT_BAD_RECORD_MAC"):
        peer.receive(1)
    assert it.errors == []


def test_good_and_broken_in_one_go(it, authority, version):
    peer = connected(it, authority, version)
    peer.tls.write(b"good")
    peer.tls.write(b"bad")
    record = bytearray(peer.outgoing.read())
    record[-1] ^= 1
    peer.sock.sendall(bytes(record))
    it.until(lambda: it.logs[0].count("close"))
    assert it.logs[0].types == ["socketData", "ioError", "close"]
    assert it.logs[0].data == b"good"


def test_write_eof_and_reading_goes_on(it, authority, version):
    peer = connected(it, authority, version)
    it.sockets[0].write(b"all of it")
    it.sockets[0].write_eof()
    assert peer.receive_all() == b"all of it"
    peer.send(b"more")
    it.until(lambda: it.logs[0].data == b"more")
    peer.send(b" and more")
    it.until(lambda: it.logs[0].data == b"more and more")
    assert it.sockets[0].connected
    peer.notify()
    it.until(lambda: it.logs[0].count("close"))
    assert it.logs[0].count("ioError") == 0


@pytest.mark.parametrize("size", [0, 1, 16384, 16385, 3_000_000])
def test_close_sends_all_and_close_notify(it, authority, version, size):
    peer = connected(it, authority, version)
    peer.send(b"unread")
    it.sockets[0].write(bytes(size)) if size else None
    it.sockets[0].close()
    assert peer.receive_all() == bytes(size)
    peer.sock.close()
    it.until(lambda: it.server.connections == 0)
    assert it.reactor.bytes_kept == 0


def test_abort_resets(it, authority):
    peer = connected(it, authority)
    it.sockets[0].write(b"lost")
    it.sockets[0].abort()
    peer.sock.settimeout(60)
    with pytest.raises(ConnectionResetError):
        while peer.sock.recv(65536):
            pass


def test_pause_and_resume(it, authority):
    peer = connected(it, authority)
    it.sockets[0].pause()
    peer.send(bytes(100_000))
    settle(it.reactor)
    assert it.logs[0].types == []
    it.sockets[0].resume()
    it.until(lambda: len(it.logs[0].data) == 100_000)


def test_one_event_for_a_receive(it, authority):
    peer = connected(it, authority)
    it.sockets[0].pause()
    peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    for _ in range(10):
        peer.send(b"x")
    settle(it.reactor)
    it.sockets[0].resume()
    it.until(lambda: len(it.logs[0].data) == 10)
    assert it.logs[0].count("socketData") == 1


def test_read_buffer_and_view(it, authority):
    it.reading = False
    peer = connected(it, authority)
    buffer = bytearray(4096)
    it.sockets[0].read_buffer = buffer
    found = bytearray()

    def take(event) -> None:
        with event.target.view() as view:
            found.extend(view)
        event.target.skip(event.target.bytes_available)

    it.sockets[0].add_event_listener("socketData", take)
    data = bytes(range(256)) * 200
    peer.send(data)
    it.until(lambda: len(found) == len(data))
    assert found == data


def test_typed_reads(it, authority):
    it.reading = False
    peer = connected(it, authority)
    it.sockets[0].write_utf("grüße")
    it.sockets[0].write_int(-7)
    assert peer.receive(13)[-4:] == (-7).to_bytes(4, "big", signed=True)
    peer.send((12).to_bytes(4, "big"))
    it.until(lambda: it.sockets[0].bytes_available == 4)
    assert it.sockets[0].read_int() == 12


def test_plaintext_is_what_is_pending_and_counted(it, authority):
    peer = connected(it, authority)
    size = 8_000_000
    it.sockets[0].write(bytes(size))
    assert it.sockets[0].bytes_pending == size
    settle(it.reactor)
    left = it.sockets[0].bytes_pending
    assert 0 < left < size
    assert it.sockets[0].congested
    assert peer.receive(size) == bytes(size)
    it.until(lambda: not it.sockets[0].bytes_pending)
    last = it.logs[0].of("outputProgress")[-1]
    assert (last.bytes_pending, last.bytes_total) == (0, size)


def test_the_limit_of_input(it, authority):
    it.reading = False
    peer = connected(it, authority)
    it.sockets[0].buffer_limit = 50_000
    peer.send(bytes(100_000))
    it.until(lambda: it.logs[0].count("close"))
    assert it.logs[0].of("ioError")[0].strerror == "No buffer space available"


def test_only_application_data_is_a_sign_of_life(it, authority):
    peer = connected(it, authority, ssl.TLSVersion.TLSv1_3)
    peer.sock.setblocking(True)
    it.sockets[0].idle_timeout = 0.2
    ccs = b"\x17\x03\x03"  # a record that is not whole: bytes, and no data
    peer.sock.sendall(ccs)

    def idle() -> bool:
        return bool(it.logs[0].count("close"))

    run_until(it.reactor, idle)
    assert it.logs[0].of("ioError")[0].errno is not None


def test_renegotiation_is_refused(it, authority):
    import subprocess  # noqa: PLC0415

    process = subprocess.Popen(
        ["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{it.server.local_port}"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        it.until(lambda: it.sockets)
        process.stdin.write(b"R\n")
        process.stdin.flush()
        it.until(lambda: process.poll() is not None or it.logs[0].count("close"))
        assert it.logs[0].data == b""
    finally:
        process.kill()
        process.wait()
        process.stdin.close()


def test_sessions_are_resumed(it, authority):
    context = authority.client_context(ssl.TLSVersion.TLSv1_2)
    first = it.peer(context).handshake()
    it.until(lambda: it.sockets)
    second = it.peer(context)
    second.tls = context.wrap_bio(
        second.incoming, second.outgoing, server_hostname="localhost", session=first.tls.session
    )
    second.handshake()
    it.until(lambda: len(it.sockets) == 2)
    assert [each.tls.session_reused for each in it.sockets] == [False, True]


def test_a_socket_nobody_holds_says_close_notify(it, authority):
    it.server.remove_event_listener("connect", it.connected)
    it.server.add_event_listener("connect", lambda event: event.socket.write(b"bye") and None)
    peer = it.peer(authority.client_context()).handshake()
    assert peer.receive_all() == b"bye"
    gc.collect()
    peer.sock.close()
    it.until(lambda: it.server.connections == 0)


def test_nothing_is_left(it, authority):
    peer = connected(it, authority)
    peer.send(b"x")
    it.until(lambda: it.logs[0].data)
    peer.notify()
    it.until(lambda: it.logs[0].count("close"))
    assert current_reactor().bytes_kept == 0

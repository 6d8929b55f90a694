"""TLS begins on a connection that is in use, on either side of it."""

from __future__ import annotations

import errno
import socket
import ssl

import pytest

from serversocket import ArgumentError, IOError
from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import connection, receive_all, receive_exactly, settle
from .peers import VERSIONS, Peer


@pytest.fixture
def it():
    with connection() as it:
        it.order = []
        for type in ("secureConnect", "socketData", "close", "ioError"):
            it.socket.add_event_listener(type, lambda event: it.order.append(event.type))
        yield it


def server_peer(it, authority, version=None) -> Peer:
    context = authority.server_context()
    if version is not None:
        context.maximum_version = version
    return Peer(it.reactor, it.peer, context, server_side=True)


def test_as_a_client(it, authority):
    it.socket.write(b"STARTTLS\r\n")
    it.socket.start_tls(authority.client_context(), server_hostname="localhost")
    it.socket.write(b"secret")
    assert receive_exactly(it.reactor, it.peer, 10) == b"STARTTLS\r\n"
    assert it.socket.tls is None
    peer = server_peer(it, authority).handshake()
    assert peer.receive(6) == b"secret"
    it.until(lambda: it.order == ["secureConnect"])
    assert it.socket.tls.server_name == "localhost"
    assert it.socket.tls.peer_certificate
    peer.send(b"answer")
    it.until(lambda: it.log.data == b"answer")
    peer.notify()
    it.until(lambda: it.order == ["secureConnect", "socketData", "close"])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("paused", [False, True])
@pytest.mark.parametrize("unread", [False, True])
def test_as_a_server_split_at_every_byte(authority, version, paused, unread):
    """The input that was there when it began, then what comes, with a request behind it."""
    context, client = authority.server_context(), authority.client_context(version)
    probe = client.wrap_bio(ssl.MemoryBIO(), found := ssl.MemoryBIO(), server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        probe.do_handshake()
    size = found.pending
    for position in range(0, size, 1 if size < 300 else 5):
        with connection(reading=False) as it:
            order: list[str] = []
            it.socket.add_event_listener("secureConnect", lambda event: order.append("secure"))  # noqa: B023
            it.socket.add_event_listener("socketData", lambda event: order.append("data"))  # noqa: B023
            peer = Peer(it.reactor, it.peer, client)
            with pytest.raises(ssl.SSLWantReadError):
                peer.tls.do_handshake()
            hello = peer.outgoing.read()
            if paused and not unread:
                it.socket.pause()
            it.peer.sendall(hello[:position])
            if unread and position:
                it.until(lambda: it.socket.bytes_available == position)  # noqa: B023
                order.clear()
                if paused:
                    it.socket.pause()
            it.socket.start_tls(context, server_side=True)
            assert it.socket.bytes_available == 0
            it.peer.sendall(hello[position:])
            peer.handshake()
            peer.send(b"request")
            it.until(lambda: order[:1] == ["secure"])  # noqa: B023
            if it.socket.paused:
                settle(it.reactor)
                assert order == ["secure"]
                it.socket.resume()
            it.until(lambda: it.socket.bytes_available == 7)
            assert it.socket.read() == b"request"
            assert it.socket.tls.server_name == "localhost"
            peer.sock.close()
    assert current_reactor().bytes_kept == 0


def test_what_was_put_in_front_makes_it_fail(authority):
    with connection(reading=False) as it:
        it.peer.sendall(b"injected")
        it.until(lambda: it.socket.bytes_available == 8)
        it.socket.start_tls(authority.client_context(), server_hostname="localhost")
        it.until_event("close")
        assert it.log.types[-2:] == ["ioError", "close"]
        assert it.log.of("ioError")[0].errno is None
        assert it.socket.tls is None


def test_a_name_that_is_another_one(it, authority):
    it.socket.start_tls(authority.client_context(), server_hostname="other.example")
    peer = server_peer(it, authority, ssl.TLSVersion.TLSv1_2)
    with pytest.raises(ssl.SSLError, match="ALERT"):
        peer.handshake()
    it.until_event("close")
    assert it.order == ["ioError", "close"]
    assert "ostname mismatch" in it.log.of("ioError")[0].text


def test_time_runs_out(it, authority):
    it.socket.start_tls(authority.client_context(), server_hostname="localhost", handshake_timeout=0.05)
    it.until_event("close")
    assert it.order == ["ioError", "close"]
    assert it.log.of("ioError")[0].errno == errno.ETIMEDOUT


def test_the_peer_leaves_in_the_handshake(it, authority):
    it.socket.start_tls(authority.client_context(), server_hostname="localhost")
    it.peer.shutdown(socket.SHUT_WR)
    it.until_event("close")
    assert it.order == ["ioError", "close"]


def test_what_is_refused_changes_nothing(it, authority):
    client, server = authority.client_context(), authority.server_context()
    for context, options, kind in [
        (client, {}, ArgumentError),
        (client, {"server_hostname": ""}, ArgumentError),
        (client, {"server_side": True}, ArgumentError),
        (server, {}, ArgumentError),
        (server, {"server_side": True, "server_hostname": "x"}, ArgumentError),
        ("context", {}, TypeError),
        (client, {"server_hostname": "localhost", "handshake_timeout": -1}, ValueError),
    ]:
        with pytest.raises(kind):
            it.socket.start_tls(context, **options)
    it.peer.sendall(b"plain")
    it.until(lambda: it.log.data == b"plain")
    it.socket.write(b"plain")
    it.socket.close()
    assert receive_all(it.reactor, it.peer) == b"plain"


def test_wrong_states(it, authority):
    client = authority.client_context()
    it.socket.startTLS(client, server_hostname="localhost")
    with pytest.raises(IOError, match="already"):
        it.socket.start_tls(client, server_hostname="localhost")
    it.socket.abort()
    with pytest.raises(IOError) as refused:
        it.socket.start_tls(client, server_hostname="localhost")
    assert refused.value.error_id == 2002


def test_not_after_write_eof_nor_after_the_peer_s_end(authority):
    for end in ("here", "there"):
        with connection(types=("end",)) as it:
            it.socket.allow_half_open = True
            if end == "here":
                it.socket.write_eof()
            else:
                it.peer.shutdown(socket.SHUT_WR)
                it.until_event("end")
            with pytest.raises(IOError, match="ended"):
                it.socket.start_tls(authority.client_context(), server_hostname="localhost")

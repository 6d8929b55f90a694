"""A client of a server with TLS is let in when the handshake is over, or refused and told of."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import gc
import os
import socket
import ssl
import subprocess
import threading
import weakref

import pytest

from serversocket import ArgumentError, Event, ServerSocket, TLSErrorEvent, tls_context

from ..behaviour.helpers import PATIENCE, ended, listening, on_linux, reset, run_until, settle
from .peers import VERSIONS, Peer, Server


def fails(peer: Peer) -> Exception:
    """What a handshake fails with; the client may think that it is over, and hear of it then."""
    try:
        peer.handshake()
        peer.receive(1)
    except (ssl.SSLError, ConnectionResetError, AssertionError) as error:
        return error
    pytest.fail("the handshake is over")


@pytest.mark.parametrize("version", VERSIONS)
def test_connect_comes_after_the_handshake(it, authority, version):
    peer = it.peer(authority.client_context(version))
    it.until(lambda: it.server.connections == 1)
    assert it.sockets == []
    peer.handshake()
    it.until(lambda: it.sockets)
    tls = it.sockets[0].tls
    assert (tls.version, tls.server_name, tls.alpn_protocol) == (peer.tls.version(), "localhost", None)
    assert tls.cipher == peer.tls.cipher()[0]
    assert tls.peer_certificate is None
    assert tls.peer_certificate_der is None
    assert not tls.session_reused
    assert tls.serverName == "localhost"
    peer.send(b"hello")
    it.until(lambda: it.logs[0].data == b"hello")
    it.sockets[0].write(b"answer" * 50_000)
    assert peer.receive(300_000) == b"answer" * 50_000
    assert it.errors == []
    assert it.server.turned_away == 0


@pytest.mark.parametrize("version", VERSIONS)
def test_every_byte_by_itself(it, authority, version):
    """The whole of a handshake, a request, and the end."""
    context = authority.client_context(version)
    peer = it.peer(context)
    cut = peer.push

    def push_bytes() -> None:
        data = peer.outgoing.read()
        for byte in data:
            peer.sock.sendall(bytes([byte]))
            settle(it.reactor)
            assert bytes(it.logs[0].data) in b"hello" if it.logs else True

    peer.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, True)
    peer.push = push_bytes
    peer.handshake()
    it.until(lambda: it.sockets)
    peer.send(b"hello")
    it.until(lambda: it.logs[0].data == b"hello")
    assert it.logs[0].count("socketData") == 1
    peer.notify()
    it.until(lambda: it.logs[0].count("close"))
    assert it.logs[0].types == ["socketData", "close"]
    peer.push = cut


def flights(it, authority, version) -> list[bytes]:
    """What a client sends in a handshake and with a request behind it."""
    peer = it.peer(authority.client_context(version))
    sent: list[bytes] = []

    def noting() -> None:
        data = peer.outgoing.read()
        if data:
            sent.append(data)
            peer.sock.sendall(data)

    peer.push = noting
    peer.handshake()
    it.until(lambda: it.sockets)
    peer.sock.close()
    return sent


@pytest.mark.parametrize("how", ["end", "reset"])
@pytest.mark.parametrize("version", VERSIONS)
def test_an_end_at_every_byte_of_the_handshake(it, authority, version, how):
    """Nothing is delivered, nothing is left, and each is told once, except for one that has sent nothing."""
    lengths = [len(flight) for flight in flights(it, authority, version)]
    it.until(lambda: it.sockets and it.server.connections == 0)
    total = 0
    context = authority.client_context(version)
    for flight, length in enumerate(lengths):
        step = 1 if length < 200 else 7
        for position in range(0, length, step):
            peer = it.peer(context)
            it.until(lambda: it.server.connections == 1)
            number = 0
            while True:  # up to this flight
                with contextlib.suppress(ssl.SSLWantReadError):
                    peer.tls.do_handshake()
                data = peer.outgoing.read()
                if number == flight:
                    break
                if data:
                    peer.sock.settimeout(PATIENCE)
                    peer.sock.sendall(data)
                    number += 1
                it.reactor.poll(0.005)
                peer.pull()
            peer.sock.settimeout(PATIENCE)
            peer.sock.sendall(data[:position])
            settle(it.reactor)
            if how == "end":
                peer.sock.shutdown(socket.SHUT_WR)
            else:
                reset(peer.sock)
            it.until(lambda: it.server.connections == 0)
            peer.sock.close()
            total += flight > 0 or position > 0
            assert it.server.turned_away == total == len(it.errors)
    assert len(it.sockets) == 1


def test_what_is_no_tls_is_refused(it):
    for data in (
        b"GET / HTTP/1.0\r\n\r\n",
        b"\0" * 100,
        b"\x16\x03\x01\xff\xff" + bytes(10),
        b"\x16\x03\x01\x00\x05hello",
    ):
        with it.plain() as peer:
            peer.sendall(data)
            count = len(it.errors)
            it.until(lambda: len(it.errors) > count)  # noqa: B023
            it.until(lambda: ended(peer) or True)
            event = it.errors[-1]
            assert isinstance(event, TLSErrorEvent)
            assert (event.remote_address, event.remote_port) == peer.getsockname()
            assert event.phase == "handshake"
            assert event.errno is None
            assert event.reason
            assert event.reason in event.text
            assert event.clone().reason == event.reason
    assert it.server.turned_away == 4
    assert it.sockets == []
    assert it.server.connections == 0


def test_the_alert_comes_before_the_end(it, authority):
    context = authority.client_context(ssl.TLSVersion.TLSv1_2)
    it.server.tls = authority.server_context(minimum_version=ssl.TLSVersion.TLSv1_3)
    error = fails(it.peer(context))
    assert error.reason == "TLSV1_ALERT_PROTOCOL_VERSION"
    it.until(lambda: it.errors)
    assert it.errors[0].reason == "unsupported protocol"


def test_a_client_that_does_not_trust_the_server(it):
    error = fails(it.peer(ssl.create_default_context()))
    assert error.reason == "CERTIFICATE_VERIFY_FAILED"


@pytest.mark.parametrize("version", VERSIONS)
def test_client_certificates(it, authority, version):
    it.server.tls = authority.server_context(client_ca=authority.ca_file, require_client_certificate=True)
    context = authority.client_context(version)
    assert "CERTIFICATE_REQUIRED" in fails(it.peer(context)).reason or version < ssl.TLSVersion.TLSv1_3
    it.until(lambda: it.errors)
    assert it.errors[0].reason == "peer did not return a certificate"
    context.load_cert_chain(*authority.client)
    it.peer(context).handshake()
    it.until(lambda: it.sockets)
    tls = it.sockets[0].tls
    assert ("email", "client@example.org") in tls.peer_certificate["subjectAltName"]
    assert tls.peer_certificate_der


def test_one_that_is_asked_for_and_not_required(it, authority):
    it.server.tls = authority.server_context(client_ca=authority.ca_file)
    it.peer(authority.client_context()).handshake()
    it.until(lambda: it.sockets)
    assert it.sockets[0].tls.peer_certificate is None


def test_alpn(it, authority):
    it.server.tls = authority.server_context(alpn=("h2", "http/1.1"))
    context = authority.client_context()
    context.set_alpn_protocols(["http/1.1", "h2"])
    it.peer(context).handshake()
    it.until(lambda: it.sockets)
    assert it.sockets[0].tls.alpn_protocol == "h2"


def test_the_context_s_own_callback_for_names(it, authority):
    asked: list[str] = []
    context = authority.server_context()
    context.sni_callback = lambda tls, name, context: asked.append(name)
    it.server.tls = context
    it.peer(authority.client_context()).handshake()
    assert asked == ["localhost"]


def test_another_context_holds_for_later_clients(it, authority):
    early = it.peer(authority.client_context())
    it.until(lambda: it.server.connections == 1)
    it.server.tls = authority.server_context(alpn=["new"])
    context = authority.client_context()
    context.set_alpn_protocols(["new"])
    early.handshake()
    it.peer(context).handshake()
    it.until(lambda: len(it.sockets) == 2)
    assert [each.tls.alpn_protocol for each in it.sockets] == [None, "new"]
    it.server.tls = None
    with it.plain():
        it.until(lambda: len(it.sockets) == 3)
        assert it.sockets[2].tls is None


def test_one_that_cannot_be_leaves_the_old_one(it):
    before = it.server.tls
    for wrong in (ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), 7, "context"):
        with pytest.raises((ArgumentError, TypeError)):
            it.server.tls = wrong
    assert it.server.tls is before


def test_time_runs_out(it, authority):
    it.server.handshake_timeout = 0.05
    assert it.server.handshakeTimeout == 0.05
    with it.plain() as silent, it.plain() as stalled:
        stalled.sendall(b"\x16\x03\x01\x02\x00")
        it.until(lambda: len(it.errors) == 2)
        run_until(it.reactor, lambda: ended(silent))
        assert {event.errno for event in it.errors} == {errno.ETIMEDOUT}
        assert {event.phase for event in it.errors} == {"hello"}
        assert isinstance(it.errors[0].error, TimeoutError)
        assert it.server.turned_away == 2
        assert it.server.connections == 0
    it.server.handshake_timeout = None
    assert it.server.handshake_timeout is None
    it.server.handshake_timeout = 60
    peer = it.peer(authority.client_context()).handshake()
    peer.send(b"x")
    it.until(lambda: it.logs and it.logs[0].data == b"x")


def test_run_does_not_wait_for_it(it):
    with it.plain():
        it.until(lambda: it.server.connections == 1)
        it.server.close()
        it.reactor.run()


def test_closing_the_server_drops_handshakes_without_a_word(it):
    with it.plain() as peer:
        peer.sendall(b"\x16\x03")
        it.until(lambda: it.server.connections == 1)
        settle(it.reactor)
        it.server.close()
        run_until(it.reactor, lambda: ended(peer))
        assert it.errors == []
        assert it.server.turned_away == 0


def test_one_that_leaves_before_its_first_byte_is_not_told(it):
    it.plain().close()
    peer = it.plain()
    reset(peer)
    settle(it.reactor)
    it.until(lambda: it.server.connections == 0)
    assert it.errors == []
    assert it.server.turned_away == 0


def test_too_many_at_once(it, monkeypatch):
    monkeypatch.setattr("serversocket.net.handshakes.MOST_PENDING", 3)
    peers = [it.plain() for _ in range(5)]
    it.until(lambda: it.server.turned_away == 2)
    assert [event.remote_port for event in it.errors] == [peer.getsockname()[1] for peer in peers[:2]]
    assert {event.errno for event in it.errors} == {errno.ENOBUFS}
    for peer in peers:
        peer.close()


def test_at_most_two_steps_in_a_turn(it, authority, monkeypatch):
    steps = 0
    from serversocket.net import tls  # noqa: PLC0415

    step = tls.TLSFilter._step

    def counting(self) -> None:
        nonlocal steps
        steps += 1
        step(self)

    monkeypatch.setattr(tls.TLSFilter, "_step", counting)
    peers = [it.peer(authority.client_context()) for _ in range(10)]
    for peer in peers:
        peer.step()
    it.until(lambda: it.server.connections == 10)
    seen = []
    while steps < 10:
        before = steps
        it.reactor.poll(0.05)
        seen.append(steps - before)
    assert max(seen) <= 2
    for peer in peers:
        peer.handshake()
    it.until(lambda: len(it.sockets) == 10)


def test_without_listeners_nothing_is_said(authority, caplog):
    with listening() as server:
        server.tls = authority.server_context()
        server.add_event_listener("connect", lambda event: None)
        with socket.create_connection(("127.0.0.1", server.local_port), timeout=PATIENCE) as peer:
            peer.sendall(b"nonsense")
            run_until(server.reactor, lambda: server.turned_away == 1)
    assert caplog.records == []


@on_linux
def test_failed_handshakes_leave_nothing(it, authority):
    import psutil  # noqa: PLC0415

    def fail(number: int) -> None:
        with it.plain() as peer:
            peer.sendall([b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b"\x16", hello][number % 4])
            peer.shutdown(socket.SHUT_WR)
            count = it.server.turned_away
            it.until(lambda: it.server.turned_away > count)

    peer = it.peer(authority.client_context(ssl.TLSVersion.TLSv1_3))
    with contextlib.suppress(ssl.SSLWantReadError):
        peer.tls.do_handshake()
    hello = peer.outgoing.read()
    peer.sock.close()
    process = psutil.Process()
    for number in range(300):
        fail(number)
    it.errors.clear()
    gc.collect()
    before, descriptors = process.memory_info().rss, len(os.listdir("/proc/self/fd"))
    for number in range(1500):
        fail(number)
        it.errors.clear()
    gc.collect()
    assert process.memory_info().rss - before < 1024 * 1024
    assert len(os.listdir("/proc/self/fd")) <= descriptors
    assert it.reactor.bytes_kept == 0


# ---- a callable


def test_a_callable_is_asked_with_the_hello(it, authority):
    hellos = []
    context = authority.server_context()

    def choose(hello):
        hellos.append(hello)
        return context

    it.server.tls = choose
    assert it.server.tls is choose
    client = authority.client_context()
    client.set_alpn_protocols(["h2", "http/1.1"])
    peer = it.peer(client).handshake()
    it.until(lambda: it.sockets)
    [hello] = hellos
    assert hello.server_name == hello.serverName == "localhost"
    assert hello.alpn_protocols == ("h2", "http/1.1")
    assert (hello.remote_address, hello.remote_port) == peer.sock.getsockname()
    assert hello.versions == (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2)


def test_none_is_unrecognized_name(it, authority):
    it.server.tls = lambda hello: None
    error = fails(it.peer(authority.client_context()))
    assert error.reason in ("TLSV1_UNRECOGNIZED_NAME", "TLSV1_ALERT_UNRECOGNIZED_NAME")
    it.until(lambda: it.errors)
    assert it.errors[0].phase == "choose"
    assert "localhost" in it.errors[0].reason
    assert it.server.turned_away == 1


def raising(hello):
    raise ZeroDivisionError


@pytest.mark.parametrize(
    "choose",
    [raising, lambda hello: 7, lambda hello: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)],
    ids=["raises", "7", "client"],
)
def test_one_that_answers_wrongly(it, authority, choose):
    uncaught = []
    it.reactor.add_event_listener("uncaughtError", lambda event: uncaught.append(event.error))
    it.server.tls = choose
    assert fails(it.peer(authority.client_context())).reason == "TLSV1_ALERT_INTERNAL_ERROR"
    it.until(lambda: it.errors)
    assert it.errors[0].phase == "choose"
    assert len(uncaught) == 1


def test_an_awaitable_without_a_host(it, authority):
    async def choose(hello):
        pytest.fail("it was awaited")

    uncaught = []
    it.reactor.add_event_listener("uncaughtError", lambda event: uncaught.append(event.error))
    it.server.tls = choose
    fails(it.peer(authority.client_context()))
    it.until(lambda: it.errors)
    assert [type(error) for error in uncaught] == [RuntimeError]


async def handshake(port: int, context: ssl.SSLContext):
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    return writer


def test_an_awaitable_is_awaited_and_others_do_not_wait(authority):
    async def main() -> None:
        waiting, asked = asyncio.Event(), 0
        context = authority.server_context()

        async def choose(hello):
            nonlocal asked
            asked += 1
            if asked == 1:
                await waiting.wait()
            return context

        with listening() as server:
            it = Server(server, choose)
            first = asyncio.ensure_future(handshake(server.local_port, authority.client_context()))
            while not asked:  # noqa: ASYNC110
                await asyncio.sleep(0)
            second = await handshake(server.local_port, authority.client_context())
            assert not first.done()
            waiting.set()
            writer = await first
            while len(it.sockets) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0)
            writer.close()
            second.close()
            it.close()

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


@pytest.mark.parametrize("end", ["leaves", "time", "server"])
def test_the_wait_is_cancelled_with_its_client(authority, end):
    async def main() -> None:
        cancelled, asked = asyncio.Event(), asyncio.Event()

        async def choose(hello):
            asked.set()
            try:
                await asyncio.sleep(PATIENCE)
            except asyncio.CancelledError:
                cancelled.set()
                raise

        with listening() as server:
            it = Server(server, choose)
            if end == "time":
                server.handshake_timeout = 0.3
            task = asyncio.ensure_future(handshake(server.local_port, authority.client_context()))
            await asked.wait()
            if end == "leaves":
                task.cancel()
            elif end == "server":
                server.close()
            await cancelled.wait()
            with contextlib.suppress(Exception, asyncio.CancelledError):
                await task
            assert len(it.errors) == (end != "server")
            if end == "time":
                assert (it.errors[0].errno, it.errors[0].phase) == (errno.ETIMEDOUT, "choose")

    asyncio.run(asyncio.wait_for(main(), PATIENCE))


def test_an_awaitable_in_trio(authority):
    import trio  # noqa: PLC0415

    async def main() -> None:
        context = authority.server_context()

        async def choose(hello):
            await trio.sleep(0.001)
            return context

        with listening() as server, trio.fail_after(PATIENCE):
            it = Server(server, choose)
            plain = await trio.open_tcp_stream("127.0.0.1", server.local_port)
            stream = trio.SSLStream(plain, authority.client_context(), server_hostname="localhost")
            await stream.do_handshake()
            await stream.send_all(b"x")
            while not (it.logs and it.logs[0].data):  # noqa: ASYNC110
                await trio.sleep(0.001)
            it.close()
            await trio.aclose_forcefully(stream)

    trio.run(main)


# ---- the other sides


@pytest.mark.parametrize("program", ["openssl", "curl"])
def test_other_clients(it, authority, program):
    def answer(event: Event) -> None:
        event.socket.add_event_listener("socketData", lambda event: reply(event.target))

    def reply(client) -> None:
        client.read()
        client.write(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello")
        client.close()

    it.server.add_event_listener("connect", answer)
    it.reading = False
    port = str(it.server.local_port)
    command = {
        "openssl": ["openssl", "s_client", "-quiet", "-verify_return_error", "-CAfile", authority.ca_file,
                    "-servername", "localhost", "-connect", f"127.0.0.1:{port}"],
        "curl": ["curl", "-sS", "--cacert", authority.ca_file, f"https://localhost:{port}/"],
    }[program]  # fmt: skip
    found: list[subprocess.CompletedProcess[bytes]] = []

    def call() -> None:
        found.append(subprocess.run(command, input=b"GET / HTTP/1.0\r\n\r\n", capture_output=True, timeout=PATIENCE))

    thread = threading.Thread(target=call)
    thread.start()
    it.until(lambda: found)
    thread.join()
    assert found[0].stdout.endswith(b"hello"), found
    assert it.errors == []


# ---- contexts


def test_contexts_that_do_not_fit(authority, tmp_path):
    certificate, key = authority.server
    with pytest.raises(FileNotFoundError) as missing:
        tls_context(str(tmp_path / "no.pem"), key)
    assert missing.value.filename.endswith("no.pem")
    with pytest.raises(FileNotFoundError):
        tls_context(certificate, str(tmp_path / "no.key"))
    with pytest.raises(FileNotFoundError):
        tls_context(certificate, key, client_ca=str(tmp_path / "no.ca"))
    empty = tmp_path / "empty"
    empty.write_text("nothing")
    for arguments, options, words in [
        ((certificate, authority.client[1]), {}, "does not belong"),
        ((str(empty), key), {}, "holds no certificate"),
        ((certificate, str(empty)), {}, "holds no key"),
        ((certificate,), {}, "holds no key"),
        ((certificate, key), {"client_ca": str(empty)}, "holds no certificate"),
        ((certificate, key), {"require_client_certificate": True}, "client_ca"),
        ((certificate, key), {"alpn": [""]}, "alpn"),
    ]:
        with pytest.raises(ArgumentError, match=words) as refused:
            tls_context(*arguments, **options)
        assert refused.value.error_id == 2004
    for alpn in ("h2", b"h2", [b"h2"]):
        with pytest.raises(TypeError, match="alpn"):
            tls_context(certificate, key, alpn=alpn)


def test_keys_with_a_password(authority, tmp_path):
    certificate, key = authority.server
    locked = str(tmp_path / "locked.key")
    subprocess.run(
        ["openssl", "pkey", "-in", key, "-aes256", "-passout", "pass:secret", "-out", locked],
        check=True,
        timeout=PATIENCE,
    )
    assert tls_context(certificate, locked, password="secret")
    with pytest.raises(ArgumentError, match="encrypted"):
        tls_context(certificate, locked)
    with pytest.raises(ArgumentError, match="password"):
        tls_context(certificate, locked, password="wrong")


def test_a_server_that_is_forgotten_is_collected(authority):
    server = ServerSocket()
    server.tls = authority.server_context()
    assert server.tls
    gone = weakref.ref(server)
    del server
    assert gone() is None

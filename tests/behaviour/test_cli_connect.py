"""The command line's client."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
from pathlib import Path

import pytest

from .commands import MB, Start, ends, fdinfo, line, memory, port_of, receive, receive_all, run, start, type_in
from .helpers import on_linux, unused_port

__all__ = ["start"]  # a fixture

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and /proc")


def test_connect_to_echo_gives_the_same_bytes(start: Start) -> None:
    server = start("echo")
    data = os.urandom(8 * MB)
    result = run("connect", "127.0.0.1", str(port_of(server)), input=data)
    assert (result.returncode, result.stderr) == (0, b"")
    assert result.stdout == data


def test_connect_to_discard(start: Start) -> None:
    server = start("discard")
    result = run("connect", "localhost", str(port_of(server)), input=os.urandom(8 * MB))
    assert (result.returncode, result.stdout, result.stderr) == (0, b"", b"")


def test_connect_to_serve(start: Start) -> None:
    server = start("serve")
    client = start("connect", "127.0.0.1", str(port_of(server)))
    line(server)
    type_in(client, "grüß dich\n".encode())
    assert line(server) == "Received: grüß dich"
    type_in(server, "grüß Gott\n".encode())
    assert line(client) == "grüß Gott"
    server.terminate()
    assert client.wait() == 0


def test_connect_receives_after_the_end_of_its_input(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("connect", "127.0.0.1", str(listener.getsockname()[1]))
        connection, _ = listener.accept()
        with connection:
            type_in(client, b"question")
            client.stdin.close()
            assert receive_all(connection) == b"question"
            connection.sendall(b"long after")
    assert client.stdout.read() == b"long after"
    assert client.wait() == 0


@on_linux
def test_connect_tells_of_the_end_of_its_input_without_a_descriptor_to_spare(start: Start) -> None:
    resource = pytest.importorskip("resource")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("connect", "127.0.0.1", str(listener.getsockname()[1]))
        with listener.accept()[0] as connection:
            type_in(client, b"question")
            assert receive(connection, 8) == b"question"
            resource.prlimit(client.pid, resource.RLIMIT_NOFILE, (0, 0))
            client.stdin.close()
            assert receive_all(connection) == b""
    assert client.wait() == 0


def test_connect_can_keep_its_side_open(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("connect", "127.0.0.1", str(listener.getsockname()[1]), "--keep-open", "--wait", "0.2")
        connection, _ = listener.accept()
        with connection:
            type_in(client, b"question")
            client.stdin.close()
            assert receive(connection, 8) == b"question"
            assert client.wait() == 0
            assert receive_all(connection) == b""


def test_connect_ends_when_the_peer_closes(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("connect", "127.0.0.1", str(listener.getsockname()[1]))
        listener.accept()[0].close()
        assert client.wait() == 0
        assert client.stderr.read() == b""


def test_connect_is_refused() -> None:
    port = unused_port()
    result = run("connect", "127.0.0.1", str(port), input=b"data")
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.decode() == (
        f"serversocket: cannot connect to 127.0.0.1:{port}: Connection refused (no server listens there)\n"
    )


def test_what_the_library_says_comes_after_that_and_only_where_it_is_asked_for() -> None:
    port = unused_port()
    result = run("connect", "127.0.0.1", str(port), "--verbose")
    first, second = result.stderr.decode().splitlines()
    assert first.startswith(f"serversocket: cannot connect to 127.0.0.1:{port}: ")
    assert second.startswith("the library's error: Error #2031: Socket Error.")


def test_connect_gets_no_answer() -> None:
    """The queue of a listener that is full takes nobody in."""
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        for _ in range(10):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        result = run("connect", "127.0.0.1", str(port), "--timeout", "0.25")
    assert (result.returncode, result.stderr.decode()) == (
        1,
        f"serversocket: cannot connect to 127.0.0.1:{port}: no answer within 0.25 s (--timeout waits longer)\n",
    )


def test_connect_breaks(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        client = start("connect", "127.0.0.1", str(port))
        connection, _ = listener.accept()
        type_in(client, b"x")
        assert receive(connection, 1) == b"x"
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        connection.close()
        assert client.wait() == 1
    assert client.stderr.read().decode() == (
        f"serversocket: connection with 127.0.0.1:{port} broke: Connection reset by peer "
        "(what was sent last may not have arrived)\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_interrupts_connect(start: Start, number: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("connect", "127.0.0.1", str(listener.getsockname()[1]))
        with listener.accept()[0] as connection:
            type_in(client, b"x")
            receive(connection, 1)
            assert ends(client, number) == (128 + number, b"")


def test_connect_whose_output_nobody_reads(start: Start) -> None:
    server = start("chargen")
    client = start("connect", "127.0.0.1", str(port_of(server)))
    assert line(client).startswith(" !")
    client.stdout.close()
    assert client.wait() == 128 + signal.SIGPIPE
    assert client.stderr.read() == b""


def test_connect_reads_its_input_no_faster_than_it_sends(start: Start, tmp_path: Path) -> None:
    size = 128 * MB
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(size)
    with socket.create_server(("127.0.0.1", 0)) as listener, large.open("rb") as file:
        client = start("connect", "127.0.0.1", str(listener.getsockname()[1]), stdin=file)
        with listener.accept()[0] as connection:
            received = len(receive(connection, 8 * MB))
            assert int(fdinfo(client, 0)["pos"]) < received + 32 * MB
            while piece := connection.recv(MB):
                received += len(piece)
            assert memory(client, "VmHWM") < 64 * MB
        assert received == size
        assert client.wait() == 0


def test_connect_receives_no_faster_than_it_writes(start: Start) -> None:
    server = start("chargen")
    client = start("connect", "127.0.0.1", str(port_of(server)))
    for _ in range(64):
        assert len(client.stdout.read(MB)) == MB
    assert memory(client, "VmHWM") < 64 * MB

"""The command line, as a user runs it: each command in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import serversocket

from .helpers import on_linux

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and /proc")

COMMAND = [sys.executable, "-m", "serversocket"]
MB = 1 << 20

Process = subprocess.Popen[bytes]
Start = Callable[..., Process]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts commands, with pipes as their standard streams, and ends those that a test leaves running."""
    processes: list[Process] = []

    def start(*arguments: str, **options: Any) -> Process:
        streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        process = subprocess.Popen([*COMMAND, *arguments], preexec_fn=_heed_interrupts, **{**streams, **options})
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(BrokenPipeError):
                    stream.close()


def _heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job begins with it ignored


def run(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Runs a command to its end."""
    options.setdefault("stdin", subprocess.DEVNULL if "input" not in options else None)
    if options["stdin"] is None:
        del options["stdin"]
    return subprocess.run([*COMMAND, *arguments], capture_output=True, **options)


def line(process: Process) -> str:
    """The next line of its standard output."""
    assert process.stdout is not None
    return process.stdout.readline().decode().removesuffix("\n")


def type_in(process: Process, data: bytes) -> None:
    assert process.stdin is not None
    process.stdin.write(data)
    process.stdin.flush()


def ends(process: Process, number: int = signal.SIGTERM) -> tuple[int, bytes]:
    """Ends it with a signal: its exit code, and what it said on standard error."""
    process.send_signal(number)
    _, complaints = process.communicate()
    return process.returncode, complaints


def port_of(server: Process) -> int:
    """The port that a server's log tells."""
    assert line(server) == f"Implementation: {serversocket.implementation}"
    bound = re.fullmatch(r"Bound to: (?:127\.0\.0\.1|0\.0\.0\.0|\[::1?\]):(\d+)", line(server))
    assert bound
    return int(bound[1])


def connect(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port))


def name_of(client: socket.socket) -> str:
    host, port = client.getsockname()
    return f"{host}:{port}"


def receive(client: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size and (piece := client.recv(min(MB, size - len(data)))):
        data += piece
    return bytes(data)


def receive_all(client: socket.socket) -> bytes:
    return receive(client, sys.maxsize)


def memory(process: Process, what: str = "VmRSS") -> int:
    """Bytes of a process's memory."""
    found = re.search(rf"{what}:\s*(\d+) kB", Path(f"/proc/{process.pid}/status").read_text())
    assert found
    return int(found[1]) * 1024


# ------------------------------------------------------------------------------------------------ in general


COMMANDS = ("serve", "echo", "discard", "chargen", "connect", "info")


@pytest.mark.parametrize("arguments", [[], *([command] for command in COMMANDS)], ids=str)
def test_help_has_an_example(arguments: list[str]) -> None:
    result = run(*arguments, "--help")
    assert result.returncode == 0
    assert b"example" in result.stdout
    assert b"serversocket " in result.stdout.partition(b"example")[2]
    assert result.stderr == b""


def test_version() -> None:
    result = run("--version")
    assert result.returncode == 0
    assert result.stdout.decode() == f"serversocket {serversocket.__version__} ({serversocket.implementation})\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "COMMAND"),
        (["sing"], 2, "invalid choice: 'sing'"),
        (["serve", "--port", "70000"], 2, "Error #2003: Invalid socket port number specified. bind: port 70000 is"),
        (["serve", "--port", "-1"], 2, "port -1 is outside 0 to 65535"),
        (["serve", "--port", "http"], 2, "'http' is not a number"),
        (["serve", "--port", "1" * 5000], 2, "is not a number"),
        (["serve", "--host", "localhost"], 2, "bind: 'localhost' is not an IPv4 or IPv6 address"),
        (["serve", "--host", "fe80::1%nowhere"], 1, "bind 'fe80::1%nowhere': No such device"),
        (["serve", "--host", "192.0.2.1"], 1, "bind 192.0.2.1:0: Cannot assign requested address"),
        (["echo", "--workers", "0"], 2, "argument --workers: Error #2006: The supplied index is out of bounds."),
        (["echo", "--workers", "some"], 2, "'some' is not a number"),
        (["serve", "--workers", "2"], 2, "unrecognized arguments: --workers 2"),
        (["chargen", "--workers", "2", "--host", "192.0.2.1"], 1, "bind 192.0.2.1:0: Cannot assign requested address"),
        (["discard", "--workers", "2", "--dual-stack"], 2, "dual_stack needs an IPv6 address"),
        (["serve", "--dual-stack"], 2, "dual_stack needs an IPv6 address"),
        (["serve", "--verbose", "--quiet"], 2, "not allowed with"),
        (["connect", "127.0.0.1", "65536"], 2, "port 65536 is outside 0 to 65535"),
        (["connect", "http://host/", "80"], 2, "connect: 'http://host/' is not a host name"),
        (["connect", "127.0.0.1", "80", "--wait", "long"], 2, "'long' is not a number of seconds"),
        (["connect", "127.0.0.1", "1", "--timeout", "1e306"], 1, "Connection refused"),
        (["connect", "127.0.0.1", "80", "--timeout", "nan"], 2, "'nan' is not a number of seconds"),
    ],
)
def test_what_is_refused_is_named_in_one_line(arguments: list[str], code: int, said: str) -> None:
    result = run(*arguments)
    assert result.returncode == code
    assert result.stdout == b""
    message = result.stderr.decode()
    assert message.startswith("serversocket")
    assert said in message
    assert message.endswith("\n")
    assert message.count("\n") == 1


@pytest.mark.parametrize("command", ["serve", "echo", "discard", "chargen"])
def test_a_port_in_use(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run(command, "--host", "127.0.0.1", "--port", str(port))
    assert result.returncode == 1
    assert result.stdout == b""
    assert result.stderr.decode() == (
        "serversocket: Error #2002: Operation attempted on invalid socket. "
        f"bind 127.0.0.1:{port}: Address already in use\n"
    )


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", ["serve", "echo", "discard", "chargen"])
def test_a_signal_is_how_a_server_ends(start: Start, command: str, number: int) -> None:
    server = start(command)
    with connect(port_of(server)) as client:
        assert line(server) == f"Connection from {name_of(client)}"
        assert ends(server, number) == (0, b"")


def test_quiet_and_verbose(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    quiet = start("echo", "--host", "127.0.0.1", "--port", str(port), "--quiet", bufsize=0)
    client = None
    while client is None:
        try:
            client = connect(port)
        except ConnectionRefusedError:
            assert quiet.poll() is None
    with client:
        client.sendall(b"x")
        assert receive(client, 1) == b"x"
    quiet.send_signal(signal.SIGTERM)
    assert quiet.communicate() == (b"", b"")
    verbose = start("echo", "--verbose")
    with connect(port_of(verbose)) as client:
        assert line(verbose) == f"Connection from {name_of(client)}"
        client.sendall(b"four")
        assert line(verbose) == f"4 bytes from {name_of(client)}"


def test_ipv6_in_brackets(start: Start) -> None:
    if not json.loads(run("info", "--json").stdout)["ipv6"]:
        pytest.skip("no IPv6 here")
    server = start("echo", "--host", "::", "--dual-stack")
    with connect(port_of(server)) as client:
        assert line(server) == f"Connection from [::ffff:127.0.0.1]:{client.getsockname()[1]}"


def test_nobody_reads_the_output() -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write) as gone:
        process = subprocess.run([*COMMAND, "info"], stdout=gone, stderr=subprocess.PIPE)
    assert (process.returncode, process.stderr) == (128 + signal.SIGPIPE, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full")
def test_the_output_is_full() -> None:
    with open("/dev/full", "wb") as full:
        process = subprocess.run([*COMMAND, "info"], stdout=full, stderr=subprocess.PIPE)
    assert (process.returncode, process.stderr) == (
        1,
        b"serversocket: standard output: No space left on device\n",
    )


# ----------------------------------------------------------------------------------------------------- serve


def test_serve_in_the_words_of_the_reference(start: Start) -> None:
    server = start("serve")
    with connect(port_of(server)) as client:
        assert line(server) == f"Connection from {name_of(client)}"
        client.sendall(b"hello\n")
        assert line(server) == "Received: hello"
        type_in(server, b"Lucy can't drink milk.\n")
        assert receive(client, 23) == b"Lucy can't drink milk.\n"
        assert line(server) == f"Sent message to {name_of(client)}"
        name = name_of(client)
    assert line(server) == f"Connection closed by {name}"
    type_in(server, b"anybody?\n")
    assert line(server) == "No socket connection."
    assert ends(server) == (0, b"")


def test_serve_sends_lines_to_every_client(start: Start) -> None:
    server = start("serve")
    port = port_of(server)
    with connect(port) as one, connect(port) as two:
        assert line(server) == f"Connection from {name_of(one)}"
        assert line(server) == f"Connection from {name_of(two)}"
        type_in(server, b"half a ")
        type_in(server, b"line\nanother\nand one without an end")
        server.stdin.close()
        expected = b"half a line\nanother\nand one without an end\n"
        assert receive(one, len(expected)) == expected
        assert receive(two, len(expected)) == expected


def test_serve_shows_characters_that_arrive_in_parts(start: Start) -> None:
    server = start("serve")
    with connect(port_of(server)) as client:
        line(server)
        client.sendall("é\n€".encode()[:-2])
        assert line(server) == "Received: é"
        client.sendall("€".encode()[1:] + b"\n\xf0\x9f")
        assert line(server) == "Received: €"
        client.shutdown(socket.SHUT_WR)
        assert line(server) == r"Received: \xf0\x9f"


def test_the_network_does_not_control_the_terminal(start: Start) -> None:
    server = start("serve")
    with connect(port_of(server)) as client:
        line(server)
        client.sendall("\x1b[2J\x07\r\x9b\u202e\x7f\0\tend\r\nBound to: nowhere\n".encode() + b"\xff\n")
        assert line(server) == r"Received: \x1b[2J\x07\r\x9b\u202e\x7f\x00" + "\tend"
        assert line(server) == "Received: Bound to: nowhere"
        assert line(server) == r"Received: \xff"


@pytest.mark.parametrize("redirection", ["</dev/null", "<&-"])
def test_serve_without_input(redirection: str, start: Start) -> None:
    streams = subprocess.PIPE
    script = f'exec "$0" "$@" {redirection}'
    server = subprocess.Popen(["/bin/sh", "-c", script, *COMMAND, "serve"], stdout=streams, stderr=streams)
    try:
        with connect(port_of(server)) as client:
            assert line(server) == f"Connection from {name_of(client)}"
            client.sendall(b"still here?\n")
            assert line(server) == "Received: still here?"
        assert ends(server) == (0, b"")
    finally:
        server.kill()
        server.communicate()


def test_serve_goes_on_when_its_input_ends(start: Start) -> None:
    server = start("serve")
    with connect(port_of(server)) as client:
        line(server)
        type_in(server, b"last words\n")
        server.stdin.close()
        assert receive(client, 11) == b"last words\n"
        assert line(server) == f"Sent message to {name_of(client)}"
        client.sendall(b"more\n")
        assert line(server) == "Received: more"


def test_a_server_without_any_standard_stream() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = 'exec "$0" "$@" <&- >&- 2>&-'
    server = subprocess.Popen(["/bin/sh", "-c", script, *COMMAND, "echo", "--host", "127.0.0.1", "--port", str(port)])
    try:
        client = None
        while client is None:
            try:
                client = connect(port)
            except ConnectionRefusedError:
                assert server.poll() is None
        with client:
            client.sendall(b"hello")
            assert receive(client, 5) == b"hello"
            client.shutdown(socket.SHUT_WR)
            assert receive_all(client) == b""
        server.terminate()
        assert server.wait() == 0
    finally:
        server.kill()
        server.wait()


def test_serve_reads_no_faster_than_its_clients(start: Start, tmp_path: Path) -> None:
    text = tmp_path / "text"
    with text.open("wb") as file:
        file.write(b"a line of text\n" * (64 * MB // 15))
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    read, write = os.pipe()
    server = start("serve", "--host", "127.0.0.1", "--port", str(port), "--quiet", stdin=read)
    os.close(read)
    with os.fdopen(write, "wb"):
        client = None
        while client is None:
            try:
                client = connect(port)
            except ConnectionRefusedError:
                assert server.poll() is None
        with client, text.open("rb") as file:
            client.sendall(b"ready\n")
            assert line(server) == "Received: ready"
            feeder = subprocess.Popen(["cat"], stdin=file, stdout=write)
            try:
                receive(client, 8 * MB)
                assert int(_fdinfo(feeder, 0)["pos"]) < 32 * MB
                receive(client, 64 * MB // 15 * 15 - 8 * MB)
                assert memory(server, "VmHWM") < 64 * MB
            finally:
                feeder.kill()
                feeder.wait()


def _fdinfo(process: Process, descriptor: int) -> dict[str, str]:
    lines = Path(f"/proc/{process.pid}/fdinfo/{descriptor}").read_text().splitlines()
    return {name: value.strip() for name, _, value in (entry.partition(":") for entry in lines)}


# ------------------------------------------------------------------------------------- echo, discard, chargen


def test_echo(start: Start) -> None:
    server = start("echo")
    with connect(port_of(server)) as client:
        client.sendall(bytes(range(256)))
        assert receive(client, 256) == bytes(range(256))
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b""


def test_echo_reads_no_more_from_a_client_that_does_not_read(start: Start) -> None:
    server = start("echo")
    with connect(port_of(server)) as client:
        client.settimeout(2)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 256 * MB:
                sent += client.send(bytes(MB))
        client.settimeout(20)
        received = receive(client, sent)
        assert len(received) == sent
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b""


@on_linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_echo_with_workers(start: Start, number: int) -> None:
    server = start("echo", "--host", "127.0.0.1", "--workers", "2")
    port = port_of(server)
    workers = set()
    for _ in range(2):
        started = re.fullmatch(r"worker [12] \(pid (\d+)\) started", line(server))
        assert started
        workers.add(started[1])
    with connect(port) as client:
        client.sendall(b"to one of them")
        assert receive(client, 14) == b"to one of them"
        said = re.fullmatch(rf"\[(\d+)\] Connection from {name_of(client)}", line(server))
        assert said
        assert said[1] in workers
        # As one process alone, it does not wait for its clients.
        server.send_signal(number)
        assert receive_all(client) == b""
    output, complaints = server.communicate()
    assert (server.returncode, complaints) == (0, b"")
    assert output.endswith(b"\nStopped.\n")
    for pid in workers:
        assert re.search(rf"^worker [12] \(pid {pid}\) ended: exit status 0$", output.decode(), re.MULTILINE)


@on_linux
def test_workers_whose_output_nobody_reads_end_too(start: Start) -> None:
    server = start("discard", "--host", "127.0.0.1", "--workers", "2")
    port = port_of(server)
    assert server.stdout is not None
    server.stdout.close()
    with suppress(ConnectionRefusedError, ConnectionResetError), connect(port) as client:
        assert receive_all(client) == b""
    assert server.wait() == 128 + signal.SIGPIPE


def test_discard(start: Start) -> None:
    server = start("discard")
    with connect(port_of(server)) as client:
        client.sendall(bytes(4 * MB))
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b""
    assert memory(server) < 64 * MB


def test_chargen_sends_the_rotating_pattern(start: Start) -> None:
    server = start("chargen")
    with connect(port_of(server)) as client:
        client.sendall(b"thrown away")
        lines = receive(client, 74 * 95 * 50).splitlines(keepends=True)
    ring = "".join(map(chr, range(32, 127))) * 2
    assert lines == [f"{ring[number % 95 : number % 95 + 72]}\r\n".encode() for number in range(95 * 50)]


def test_chargen_takes_no_memory_for_a_client_that_does_not_read(start: Start) -> None:
    server = start("chargen")
    port = port_of(server)
    with connect(port) as lazy, connect(port) as eager:
        receive(eager, 4 * MB)
        before = memory(server)
        for _ in range(16):
            receive(eager, 8 * MB)
        assert memory(server) < before + 16 * MB
        assert len(receive(lazy, MB)) == MB


# --------------------------------------------------------------------------------------------------- connect


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
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    result = run("connect", "127.0.0.1", str(port), input=b"data")
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.decode() == f"serversocket: connect 127.0.0.1:{port}: Connection refused\n"


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
        f"serversocket: connection with 127.0.0.1:{port}: Connection reset by peer\n"
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
            assert int(_fdinfo(client, 0)["pos"]) < received + 32 * MB
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


# ------------------------------------------------------------------------------------------------------ info


def test_info() -> None:
    result = run("info")
    assert (result.returncode, result.stderr) == (0, b"")
    assert re.search(rf"^implementation +{serversocket.implementation}$", result.stdout.decode(), re.MULTILINE)


def test_info_as_json() -> None:
    facts = json.loads(run("info", "--json").stdout)
    assert facts["implementation"] == serversocket.implementation
    assert facts["version"] == serversocket.__version__
    assert facts["ephemeral_port_first"] is None or facts["ephemeral_port_first"] < facts["ephemeral_port_last"]
    assert isinstance(facts["ipv6"], bool)


@on_linux
def test_info_counts_the_clients_that_found_a_backlog_full() -> None:
    before = json.loads(run("info", "--json").stdout)["listen_overflows"]
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1)
        for _ in range(10):
            client = stack.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(listener.getsockname())
        assert json.loads(run("info", "--json").stdout)["listen_overflows"] > before

"""The command line: its arguments and errors, the servers, and what is told of the system."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

import serversocket
from serversocket.cli import make_parser

from .commands import (
    COMMAND,
    MB,
    SERVERS,
    Start,
    connect,
    connect_to_silent,
    ends,
    fdinfo,
    line,
    memory,
    name_of,
    port_of,
    receive,
    receive_all,
    run,
    start,
    type_in,
)
from .helpers import PATIENCE, on_linux, unused_port

__all__ = ["start"]  # a fixture

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals and /proc")


# ------------------------------------------------------------------------------------------------ in general


COMMANDS = (*SERVERS, "connect", "info")


@pytest.mark.parametrize("arguments", [[], *([command] for command in COMMANDS)], ids=str)
def test_help_has_an_example(arguments: list[str]) -> None:
    result = run(*arguments, "--help")
    assert result.returncode == 0
    assert b"example" in result.stdout
    assert b"  serversocket " in result.stdout.partition(b"example")[2]
    assert result.stderr == b""


def test_version() -> None:
    result = run("--version")
    assert result.returncode == 0
    assert result.stdout.decode() == f"serversocket {serversocket.__version__} ({serversocket.implementation})\n"


@pytest.mark.parametrize(("command", "port"), [("serve", 8000), ("echo", 7000), ("discard", 9000), ("chargen", 19000)])
def test_servers_listen_on_this_machine_alone_by_default(command: str, port: int) -> None:
    options = make_parser().parse_args([command])
    assert (options.host, options.port) == ("127.0.0.1", port)
    assert f"(default: {port})" in " ".join(run(command, "--help").stdout.decode().split())


@pytest.mark.parametrize("name", ["localhost", "LocalHost"])
def test_localhost_is_what_clients_find_under_that_name(start: Start, name: str) -> None:
    server = start("echo", "--host", name)
    with socket.create_connection(("localhost", port_of(server)), timeout=PATIENCE) as client:
        assert line(server) == f"Connection from {name_of(client)}"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ([], 2, "serversocket: a COMMAND is missing: serve, echo, discard, chargen, connect, info (see"),
        (["sing"], 2, "invalid choice: 'sing'"),
        (["serve", "--wait"], 2, "serversocket serve: unrecognized arguments: --wait (see serversocket serve --help)"),
        (["serve", "--port", "70000"], 2, "argument --port: port 70000 is outside 0 to 65535 (see"),
        (["serve", "--port", "-1"], 2, "argument --port: port -1 is outside 0 to 65535 (see"),
        (["serve", "--port", "http"], 2, "'http' is not a number"),
        (["serve", "--port", "1" * 5000], 2, "is not a number"),
        (["serve", "--host", "example"], 2, "'example' is not an IPv4 or IPv6 address: 127.0.0.1 is for this machine"),
        (["serve", "--host", ""], 2, "no address is given: 127.0.0.1 is for this machine alone, 0.0.0.0 all of IPv4"),
        (["serve", "--host", "fe80::1%nowhere"], 1, "fe80::1%nowhere: No such device (there is no such interface"),
        (
            ["serve", "--host", "fe80::1"],
            1,
            "Invalid argument (a link-local address needs its interface, as in fe80::1%",
        ),
        (
            ["serve", "--host", "192.0.2.1"],
            1,
            "serversocket: cannot listen on 192.0.2.1:8000: Cannot assign requested address (this machine does not",
        ),
        (["echo", "--workers", "0"], 2, "argument --workers: 0 workers are less than 1 (see"),
        (["echo", "--workers", "some"], 2, "'some' is not a number, or auto for one worker on each core"),
        (
            ["serve", "--workers", "2"],
            2,
            "serve sends each line of standard input to every client, which works in one",
        ),
        (["serve", "--workers"], 2, "echo, discard and chargen take workers"),
        (["chargen", "--workers", "2", "--host", "192.0.2.1"], 1, "cannot listen on 192.0.2.1:19000: Cannot assign"),
        (
            ["discard", "--workers", "2", "--dual-stack"],
            2,
            "--dual-stack needs an IPv6 address, not 127.0.0.1",
        ),
        (["serve", "--dual-stack"], 2, "--dual-stack needs an IPv6 address, not 127.0.0.1: --host :: is all of IPv6"),
        (["serve", "--verbose", "--quiet"], 2, "not allowed with"),
        (["connect", "127.0.0.1"], 2, "serversocket connect: the following arguments are required: PORT"),
        (["connect", "127.0.0.1", "0"], 2, "argument PORT: port 0 is outside 1 to 65535 (see"),
        (["connect", "127.0.0.1", "65536"], 2, "port 65536 is outside 0 to 65535"),
        (["connect", "http://host/", "80"], 2, "'http://host/' is not a host name: give a name or an address, without"),
        (["connect", "fe80::1", "80"], 1, "connect to [fe80::1]:80: Invalid argument (a link-local address needs its"),
        (["connect", "127.0.0.1", "80", "--wait", "long"], 2, "'long' is not a number of seconds"),
        (["connect", "127.0.0.1", "1", "--timeout", "1e306"], 1, "Connection refused (no server listens there)"),
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
    assert "Error #" not in message


@pytest.mark.parametrize("command", SERVERS)
def test_a_port_in_use(command: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run(command, "--port", str(port))
    assert result.returncode == 1
    assert result.stdout == b""
    assert result.stderr.decode() == (
        f"serversocket: cannot listen on 127.0.0.1:{port}: Address already in use (another program uses this port: "
        "end it, or choose another with --port, 0 for a free one)\n"
    )


def test_what_the_library_says_comes_after_that_and_only_where_it_is_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = run("serve", "--port", str(port), "--verbose")
    assert result.stderr.startswith(b"serversocket: cannot listen on ")
    assert result.stdout.decode() == (
        "the library's error: Error #2002: Operation attempted on invalid socket. "
        f"bind 127.0.0.1:{port}: Address already in use\n"
    )


REFUSED = """
import errno, os, sys
import serversocket.cli

def refuse(*_, **__):
    raise OSError(errno.{reason}, os.strerror(errno.{reason}))

{call} = refuse
sys.exit(serversocket.cli.main(sys.argv[1:]))
"""


def run_refused(reason: str, call: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    """Runs a command in which a call fails."""
    return subprocess.run(
        [sys.executable, "-c", REFUSED.format(reason=reason, call=call), *arguments], capture_output=True
    )


@pytest.mark.parametrize(
    ("port", "advice"),
    [(80, " (ports below 1024 need root or CAP_NET_BIND_SERVICE: choose another with --port)"), (8080, "")],
)
def test_a_port_for_root(port: int, advice: str) -> None:
    result = run_refused("EACCES", "serversocket.ServerSocket.bind", "echo", "--port", str(port))
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.decode() == (f"serversocket: cannot listen on 127.0.0.1:{port}: Permission denied{advice}\n")


@pytest.mark.parametrize(
    ("call", "arguments"),
    [("serversocket.cli.console.run_until_signal", []), ("serversocket.Supervisor.run", ["--workers", "2"])],
)
def test_a_server_that_can_have_no_descriptor_says_what_to_do(call: str, arguments: list[str]) -> None:
    result = run_refused("EMFILE", call, "echo", "--port", "0", "--quiet", *arguments)
    assert (result.returncode, result.stdout) == (1, b"")
    assert result.stderr.decode() == (
        "serversocket: cannot continue: Too many open files (ulimit -n shows and raises the limit of open files per "
        "process)\n"
    )


@on_linux
def test_clients_that_cannot_be_accepted(start: Start) -> None:
    resource = pytest.importorskip("resource")
    server = start("echo")
    port = port_of(server)
    connect(port).close()
    assert [line(server).split()[:2] for _ in range(2)] == [["Connection", "from"], ["Connection", "closed"]]
    limit = max(map(int, os.listdir(f"/proc/{server.pid}/fd"))) + 1
    resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, limit))
    with connect(port) as client:
        assert server.stderr is not None
        assert server.stderr.readline().decode() == (
            "serversocket: cannot accept clients: Too many open files (ulimit -n shows and raises the limit of open "
            "files per process)\n"
        )
        assert receive_all(client) == b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("command", SERVERS)
def test_a_signal_is_how_a_server_ends(start: Start, command: str, number: int) -> None:
    server = start(command)
    with connect(port_of(server)) as client:
        assert line(server) == f"Connection from {name_of(client)}"
        assert ends(server, number) == (0, b"")


def test_quiet_and_verbose(start: Start) -> None:
    port = unused_port()
    quiet = start("echo", "--port", str(port), "--quiet", bufsize=0)
    with connect_to_silent(quiet, port) as client:
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
    server = subprocess.Popen(
        ["/bin/sh", "-c", script, *COMMAND, "serve", "--port", "0"], stdout=streams, stderr=streams
    )
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
    port = unused_port()
    script = 'exec "$0" "$@" <&- >&- 2>&-'
    server = subprocess.Popen(["/bin/sh", "-c", script, *COMMAND, "echo", "--port", str(port)])
    try:
        with connect_to_silent(server, port) as client:
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
    port = unused_port()
    read, write = os.pipe()
    server = start("serve", "--port", str(port), "--quiet", stdin=read)
    os.close(read)
    with os.fdopen(write, "wb"), connect_to_silent(server, port) as client, text.open("rb") as file:
        client.sendall(b"ready\n")
        assert line(server) == "Received: ready"
        feeder = subprocess.Popen(["cat"], stdin=file, stdout=write)
        try:
            receive(client, 8 * MB)
            assert int(fdinfo(feeder, 0)["pos"]) < 32 * MB
            receive(client, 64 * MB // 15 * 15 - 8 * MB)
            assert memory(server, "VmHWM") < 64 * MB
        finally:
            feeder.kill()
            feeder.wait()


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
        client.settimeout(0.5)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 256 * MB:
                sent += client.send(bytes(MB))
        client.settimeout(PATIENCE)
        received = receive(client, sent)
        assert len(received) == sent
        client.shutdown(socket.SHUT_WR)
        assert receive_all(client) == b""


@on_linux
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_echo_with_workers(start: Start, number: int) -> None:
    server = start("echo", "--workers", "2")
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
def test_a_worker_on_each_core(start: Start) -> None:
    server = start("discard", "--workers", "auto")
    port_of(server)
    cores = len(os.sched_getaffinity(0))
    if cores > 1:  # one serves in the process itself
        for _ in range(cores):
            assert re.fullmatch(r"worker \d+ \(pid \d+\) started", line(server))
    code, _ = ends(server)
    assert code == 0


@on_linux
def test_workers_whose_output_nobody_reads_end_too(start: Start) -> None:
    server = start("discard", "--workers", "2")
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

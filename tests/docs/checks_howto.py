"""What the programs of the how-to pages do."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import sqlite3
import ssl
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from ..behaviour.helpers import PATIENCE, unused_port
from .programs import (
    HELLO,
    Check,
    Checks,
    Program,
    answers,
    blocks,
    changed,
    check,
    echoes,
    echoes_until_a_signal,
    end_of,
    forwards,
    need,
    passes_its_tests,
    python,
    receive,
    running,
    runs,
    serving,
)

# ---- the end


def shuts_down(begin: str) -> Check:
    """What is under way is finished, and what is idle is closed; `begin` begins the work."""

    def run(program: Program) -> None:
        code = changed(program.code, begin, "print('working', flush=True); " + begin)
        code = code.replace("(0.1", "(0.3")
        with serving(code, status=0) as it, it.connect() as idle, it.connect() as busy:
            answers(idle, b"early\n", b"EARLY\n")
            it.says(b"working")
            with it.connect() as ended:  # its output only
                ended.sendall(b"once\n")
                ended.shutdown(socket.SHUT_WR)
                assert receive(ended, 5) == b"ONCE\n"
                assert end_of(ended) == "end"
            it.says(b"working")
            busy.sendall(b"late\n")
            it.says(b"working")
            it.process.send_signal(signal.SIGTERM)
            assert end_of(idle) == "end"
            assert receive(busy, 5) == b"LATE\n"
            assert end_of(busy) == "end"
            it.process.wait(PATIENCE)
        code = changed(code.replace("(0.3", "(3600"), "GRACE = 10", "GRACE = 0.1")
        with serving(code, status=0) as it, it.connect() as busy:
            busy.sendall(b"never\n")
            it.says(b"working")
            it.process.send_signal(signal.SIGTERM)
            assert end_of(busy) in ("end", "reset")
            it.process.wait(PATIENCE)

    return check(run)


def limits(program: Program) -> None:
    code = changed(program.code, "TO_SAY_HELLO = 5", "TO_SAY_HELLO = 600")
    with serving(changed(code, "MOST_CLIENTS = 1000", "MOST_CLIENTS = 2")) as it, it.connect() as ann:
        answers(ann, b"Ann\nhel", b"")
        answers(ann, b"lo\n", b"Ann: hello\n")
        with it.connect() as endless:
            endless.sendall(b"Bob\nhi\n")
            assert receive(endless, 8) == b"Bob: hi\n"
            with it.connect() as third:
                assert end_of(third) in ("end", "reset")
            endless.sendall(b"x" * 1024)
            assert receive(endless, 100) == b"that line is too long\n"
        answers(ann, b"again\n", b"Ann: again\n")
    with serving(changed(program.code, "TO_SAY_HELLO = 5", "TO_SAY_HELLO = 0.1")) as it, it.connect() as silent:
        assert end_of(silent) == "reset"


# ---- TLS


#: What anyio logs of a handshake that fails.
HANDSHAKE = r"TLS handshake|^Traceback|^ +|SSLError|cause of the following|^$"


@contextmanager
def certificates() -> Iterator[Path]:
    """Made by the command of the page."""
    (command,) = (
        line
        for block in blocks("howto/tls.md", "console")
        for line in block.splitlines()
        if "trustme" in line and "-m" in line
    )
    with TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, *command.split()[2:]], cwd=folder, check=True, stdout=subprocess.DEVNULL, timeout=PATIENCE
        )
        yield Path(folder)


def echoes_over_tls(program: Program) -> None:
    need("trustme")
    codes = [program.code]
    if "anyio.run(main)" in program.code:
        codes.append(program.code.replace("anyio.run(main)", "anyio.run(main, backend='trio')"))
    with certificates() as folder:
        context = ssl.create_default_context(cafile=folder / "client.pem")
        for code in codes:
            with serving(code, folder=folder, log=HANDSHAKE) as it:
                for _ in range(2):
                    with context.wrap_socket(it.connect(), server_hostname="localhost") as client:
                        client.sendall(HELLO)
                        assert receive(client, len(HELLO)) == HELLO  # type: ignore[arg-type]
                        with it.connect() as plain:
                            plain.sendall(b"this is no handshake\n")
                            with suppress(OSError):  # OpenSSL has no alert for it
                                plain.shutdown(socket.SHUT_WR)
                                while plain.recv(1000):
                                    pass


def says_hello_over_tls(program: Program) -> None:
    need("trustme")
    with certificates() as folder, socket.create_server(("127.0.0.1", 0)) as listener:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(folder / "server.pem", folder / "server.key")

        def answer() -> None:
            with context.wrap_socket(listener.accept()[0], server_side=True) as client:
                client.sendall(client.recv(100))
                client.unwrap()  # the goodbye

        thread = threading.Thread(target=answer)
        thread.start()
        command = python(program.code, listener.getsockname()[1], "-X", "dev")
        run = subprocess.run(command, cwd=folder, capture_output=True, timeout=PATIENCE)
        thread.join(PATIENCE)
    assert (run.stdout, run.stderr, run.returncode) == (b"hello over TLS\n", b"", 0), run.stderr.decode()


# ---- databases, logs


def collects(program: Program) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "readings.db"
        with serving(program.code, str(path), status=0) as it, it.connect() as one, it.connect() as two:
            answers(one, b"boiler 71.5\n" * 100, b"ok\n" * 100)
            answers(two, b"pump 1\nnonsense\npump x\npump 2\n", b"ok\n" + b"error: want DEVICE VALUE\n" * 2 + b"ok\n")
            two.sendall(b"x" * 300)
            assert receive(two, 100) == b"error: the line is too long\n"
            it.process.send_signal(signal.SIGTERM)
            it.process.wait(PATIENCE)
        with closing(sqlite3.connect(path)) as database:
            rows = database.execute("SELECT device, count(*), sum(value) FROM readings GROUP BY device").fetchall()
        assert rows == [("boiler", 100, 7150.0), ("pump", 2, 3.0)]


def looks_up_squares(program: Program) -> None:
    with serving(program.code) as it, it.connect() as client, it.connect() as other:
        answers(client, b"7\n12\nx\n2000\n9", b"49\n144\nwant a number\nNone\n")
        answers(other, b"3\n", b"9\n")
        answers(client, b"\n", b"81\n")
        client.sendall(b"1" * 300)
        assert end_of(client) == "reset"


def logs(program: Program) -> None:
    with serving(
        program.code, log=r" INFO echo (listening|127|.* left)| WARNING echo .* broke: Connection reset"
    ) as it:
        with it.connect() as client:
            answers(client, HELLO, HELLO)
            port = client.getsockname()[1]
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        assert it.process.stderr is not None
        told = b""
        while b"left" not in told:
            told += it.process.stderr.readline()
        for text in b"listening on port", b":%d connected" % port, b":%d broke: Connection reset by peer" % port:
            assert text in told


# ---- clients


def follows(program: Program) -> None:
    """Over a refusal, and over connections that end."""
    port = unused_port()
    command = python(
        changed(program.code, "FIRST, LONGEST = 0.5, 60", "FIRST, LONGEST = 0.01, 0.02"), port, "-X", "dev"
    )
    with running(command, port, log=r"127\.0\.0\.1") as it:
        assert it.process.stderr is not None
        assert b"refused" in it.process.stderr.readline()
        with socket.create_server(("127.0.0.1", port)) as listener:
            listener.settimeout(PATIENCE)
            for number in range(5):
                client, _ = listener.accept()
                with client:
                    client.sendall(b"line %d\nrest" % number)
                    assert it.says(b"line") == b"line %d\n" % number
                    if number % 2:  # it breaks
                        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def asks(program: Program) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

        def answer() -> None:
            with listener.accept()[0] as client:
                client.sendall(client.recv(100).upper())
                client.recv(100)

        thread = threading.Thread(target=answer)
        thread.start()
        command = [sys.executable, "-X", "dev", "-c", program.code, "127.0.0.1", str(port), "hello"]
        run = subprocess.run(command, capture_output=True, timeout=PATIENCE)
        thread.join(PATIENCE)
    assert (run.stdout, run.stderr, run.returncode) == (b"HELLO\n", b"", 0)
    run = subprocess.run(command, capture_output=True, timeout=PATIENCE)
    assert (run.stdout, run.returncode) == (b"", 1)
    assert b"refused" in run.stderr


def forwards_by_command(program: Program) -> None:
    host = "port, host, host_port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])"
    code = changed(program.code, host, 'port, host, host_port = 8000, "127.0.0.1", 9000')
    forwards(program._replace(code=code), status=0)
    with serving(code.replace("9000", str(unused_port())), status=0) as it, it.connect() as client:
        address, port = client.getsockname()
        assert end_of(client) == "reset"
        assert it.says(b"Connection refused").startswith(f"{address}:{port}: ".encode())


def forwards_and_refuses(program: Program) -> None:
    forwards(program)
    with serving(program.code.replace("9000", str(unused_port()))) as it:
        try:
            with it.connect() as client:
                assert end_of(client) == "reset"
        except ConnectionResetError:  # before the call returned that opens it
            pass


# ---- protocols


def message(number: int, text: str) -> bytes:
    body = struct.pack(">I", number) + text.encode()
    return struct.pack(">H", len(body)) + body


def speaks_binary(program: Program) -> None:
    with serving(program.code) as it:
        with it.connect() as client:
            sent = message(1, "one") + message(2, "") + message(3, "Grüße") + message(4, "x" * 60_000)
            for piece in sent[:1], sent[1:7], sent[7:]:
                client.sendall(piece)
            for number, text in (1, "ONE"), (2, ""), (3, "GRÜSSE"), (4, "X" * 60_000):
                expected = message(number, text)
                assert receive(client, len(expected)) == expected
            client.sendall(b"\0\3abc")
            assert end_of(client) == "reset"
        assert it.talk(message(5, "end")) == message(5, "END")


def keeps_keys(program: Program) -> None:
    with serving(program.code) as it:
        with it.connect() as client:
            answers(client, b"SET name Ann\nGET na", b"OK\r\n")
            answers(client, b"me\r\nget age\n\nWHAT\n", b"Ann\r\nERROR no such key\r\nERROR unknown command\r\n")
            client.sendall(b"x" * 600)
            assert receive(client, 100) == b"ERROR the line is too long\r\n"
        value = b"v" * 400
        with it.connect() as client:
            answers(client, b"SET long " + value + b"\n", b"OK\r\n")
            questions, expected = b"GET long\n" * 20_000, (value + b"\r\n") * 20_000
            thread = threading.Thread(target=client.sendall, args=(questions + b"QUIT\n",))
            thread.start()
            assert receive(client, len(expected) + 100) == expected + b"BYE\r\n"
            thread.join(PATIENCE)


def transfers_files(program: Program) -> None:
    data = os.urandom(3_000_000)
    digest = hashlib.sha256(data).hexdigest().encode() + b"\n"
    with TemporaryDirectory() as folder:
        with serving(program.code, folder) as it:
            assert it.talk(b"PUT file %d\n" % len(data), data) == digest
            assert it.talk(b"GET file\n") == b"%d\n" % len(data) + data
            assert it.talk(b"GET missing\n") == b"-1\n"
            assert it.talk(b"PUT part 100\n", b"only this") == b""
            with it.connect() as client:
                client.sendall(b"GET ../file\n")
                assert end_of(client) == "reset"
            assert "bad name" in it.says(b"bad name").decode()
        assert [path.name for path in Path(folder).iterdir()] == ["file"]


def gives_its_file(program: Program) -> None:
    data = os.urandom(3_000_000)
    with TemporaryDirectory() as folder:
        (Path(folder) / "file").write_bytes(data)
        with serving(program.code, str(Path(folder) / "file")) as it, it.connect() as client, it.connect() as impatient:
            assert impatient.recv(1) == data[:1]  # and leaves
            impatient.close()
            client.shutdown(socket.SHUT_WR)
            assert b"".join(iter(lambda: client.recv(65536), b"")) == data


# ---- the rest


def says_hello_and_closes(program: Program) -> None:
    with serving(program.code) as it:
        assert it.talk(b"") == b"hello\n"


def returns_twice(program: Program) -> None:
    run = subprocess.run([sys.executable, "-X", "dev", "-c", program.code], capture_output=True, timeout=PATIENCE)
    said = [b"nothing is open", b"the timer was open", b"now it is not"]
    assert (run.stdout.splitlines(), run.stderr, run.returncode) == (said, b"", 0)


def takes_its_port(status: int = 0) -> Check:
    """An echo server whose port is its argument."""

    def run(program: Program) -> None:
        port = unused_port()
        command = [sys.executable, "-X", "dev", "-c", program.code, str(port)]
        with running(command, port, status=status) as it:
            it.echoes()

    return check(run)


UNTIL = check(echoes_until_a_signal)
TESTS = check(passes_its_tests)
CHECKS: Checks = {
    "howto/graceful-shutdown.md: With async/await": [shuts_down("await asyncio.sleep(0.1)")],
    "howto/graceful-shutdown.md: With listeners": [shuts_down("self.requests += 1")],
    "howto/limits.md: With async/await": [check(limits)],
    "howto/limits.md: With listeners": [check(limits)],
    "howto/tls.md: A server": [check(echoes_over_tls)],
    "howto/tls.md: A client": [check(says_hello_over_tls)],
    "howto/tls.md: With async/await": [check(echoes_over_tls)],
    "howto/tls.md: A server, with anyio": [check(echoes_over_tls, "anyio", "trio")],
    "howto/tls.md: A client, with anyio": [check(says_hello_over_tls, "anyio")],
    "howto/tls.md: A server, with trio": [check(echoes_over_tls, "trio")],
    "howto/tls.md: A client, with trio": [check(says_hello_over_tls, "trio")],
    "howto/behind-a-proxy.md: The servers behind": [takes_its_port()],
    "howto/systemd.md: The program": [takes_its_port()],
    "howto/container.md: The program": [UNTIL],
    "howto/logging.md: With async/await": [check(logs)],
    "howto/logging.md: With listeners": [check(logs)],
    "howto/databases-and-threads.md: With async/await: a telemetry collector": [check(collects)],
    "howto/databases-and-threads.md: With listeners": [check(looks_up_squares)],
    "howto/testing.md: A server with listeners: a fixture": [TESTS],
    "howto/testing.md: Coroutines: client and server in one loop": [TESTS],
    "howto/testing.md: Without a network": [TESTS],
    "howto/testing.md: In memory, with trio": [check(passes_its_tests, "trio")],
    "howto/testing.md: The listeners of a socket": [TESTS],
    "howto/reconnecting-client.md: With async/await": [check(follows)],
    "howto/reconnecting-client.md: With listeners": [check(follows)],
    "howto/proxying.md: With async/await": [check(forwards_by_command)],
    "howto/proxying.md: With listeners": [check(forwards_and_refuses)],
    "howto/binary-protocols.md: With async/await and struct": [check(speaks_binary)],
    "howto/binary-protocols.md: With listeners and typed reads": [check(speaks_binary)],
    "howto/binary-protocols.md: One message, both sides": [check(runs)],
    "howto/line-protocols.md: With async/await": [check(keeps_keys)],
    "howto/line-protocols.md: With listeners": [check(keeps_keys)],
    "howto/file-transfer.md: With async/await": [check(transfers_files)],
    "howto/file-transfer.md: With listeners": [check(gives_its_file)],
    "howto/debugging.md: Why is the connection closed at once?": [check(says_hello_and_closes)],
    "howto/debugging.md: Why did run() return?": [check(returns_twice)],
    "howto/examples.md: An echo server": [check(echoes), check(echoes)],
    "howto/examples.md: A client": [check(asks), check(asks)],
    "howto/examples.md: Workers": [takes_its_port(), takes_its_port()],
}

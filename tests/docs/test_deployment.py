"""The configurations of the how-to pages work with the programs that they are for, where these are installed."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from ..behaviour.helpers import PATIENCE, unused_port
from .programs import HELLO, Process, blocks, receive, running

LARGE = bytes(range(251)) * 20_000  # more than the buffers of the systems and of a proxy hold
NGINX_STREAM = Path("/usr/lib/nginx/modules/ngx_stream_module.so")  # Debian's, which the main configuration loads


def installed(name: str) -> str:
    """Where a program is; servers lie where only root looks."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    return path or pytest.skip(f"needs {name}")


@contextmanager
def servers_behind() -> Iterator[dict[str, int]]:
    """Two of the page's servers, and by the page's ports the ones that are used instead."""
    (code,) = blocks("howto/behind-a-proxy.md", "python")
    ports = {"8000": unused_port()}
    with ExitStack() as stack:
        for number in "8001", "8002":
            port = ports[number] = unused_port()
            server = stack.enter_context(running([sys.executable, "-X", "dev", "-c", code, str(port)], port, status=0))
            server.echoes()
        yield ports


def with_ports(text: str, ports: dict[str, int]) -> str:
    changed = re.sub(r"\b800[012]\b", lambda found: str(ports[found[0]]), text)
    assert changed != text
    return changed


def forwards(command: list[str], port: int) -> None:
    proxy = Process(command, port)
    try:
        served = 0
        end = time.monotonic() + PATIENCE
        while served < 4:  # one after the other, by both servers
            assert time.monotonic() < end
            with proxy.connect() as client:
                client.sendall(HELLO)
                # HAProxy may not have looked at its servers yet.
                served += receive(client, len(HELLO)) == HELLO
                client.shutdown(socket.SHUT_WR)
                assert client.recv(1) == b""
        with proxy.connect() as client:  # most of the answer is under way when the client ends its output
            sender = threading.Thread(target=lambda: (client.sendall(LARGE), client.shutdown(socket.SHUT_WR)))
            sender.start()
            with client.makefile("rb") as answer:
                assert answer.read() == LARGE
            sender.join()
    finally:
        proxy.process.kill()
        proxy.process.communicate()


def test_haproxy(tmp_path: Path) -> None:
    haproxy = installed("haproxy")
    (configuration,) = (text for text in blocks("howto/behind-a-proxy.md", "text") if "frontend" in text)
    path = tmp_path / "haproxy.cfg"
    with servers_behind() as ports:
        path.write_text(with_ports(configuration, ports))
        checked = subprocess.run([haproxy, "-c", "-f", str(path)], capture_output=True, timeout=PATIENCE)
        assert checked.returncode == 0, checked.stderr.decode()
        assert b"WARNING" not in checked.stderr, checked.stderr.decode()
        forwards([haproxy, "-db", "-f", str(path)], ports["8000"])


def test_nginx(tmp_path: Path) -> None:
    nginx = installed("nginx")
    version = subprocess.run([nginx, "-V"], capture_output=True, timeout=PATIENCE).stderr
    load = ""
    if b"--with-stream=dynamic" in version:
        if not NGINX_STREAM.exists():
            pytest.skip("needs nginx's stream module")
        load = f"load_module {NGINX_STREAM};\n"
    elif b"--with-stream" not in version:
        pytest.skip("needs nginx's stream module")
    (stream,) = blocks("howto/behind-a-proxy.md", "nginx")
    path = tmp_path / "nginx.conf"
    with servers_behind() as ports:
        path.write_text(
            f"{load}daemon off;\nmaster_process off;\npid {tmp_path}/pid;\nerror_log {tmp_path}/log;\nevents {{}}\n"
            + with_ports(stream, ports)
        )
        command = [nginx, "-c", str(path), "-p", str(tmp_path), "-e", f"{tmp_path}/log"]
        checked = subprocess.run([*command, "-t"], capture_output=True, timeout=PATIENCE)
        assert checked.returncode == 0, checked.stderr.decode()
        forwards(command, ports["8000"])


def test_the_unit_of_systemd(tmp_path: Path) -> None:
    analyze = installed("systemd-analyze")
    (unit,) = blocks("howto/systemd.md", "ini")
    (command,) = re.findall(r"^ExecStart=(\S+) (\S+) \d+$", unit, re.MULTILINE)
    program = tmp_path / "chat.py"
    program.write_text(blocks("howto/systemd.md", "python")[0])
    path = tmp_path / "chat.service"
    path.write_text(unit.replace(command[0], sys.executable).replace(command[1], str(program)))
    checked = subprocess.run(
        [analyze, "verify", "--man=no", str(path)], capture_output=True, text=True, timeout=PATIENCE
    )
    about_it = [line for line in checked.stderr.splitlines() if "chat" in line]
    assert (about_it, checked.returncode) == ([], 0), checked.stderr
    broken = tmp_path / "broken.service"
    broken.write_text(path.read_text().replace("Type=exec", "Type=nonsense").replace("Restart=on", "Restrat=on"))
    told = subprocess.run(
        [analyze, "verify", "--man=no", str(broken)], capture_output=True, text=True, timeout=PATIENCE
    )
    assert "broken.service" in told.stderr  # it would have been told


def test_as_process_1_it_ends_at_sigterm() -> None:
    """In a namespace of its own, the signal reaches only a process that asked for it."""
    unshare = installed("unshare")
    alone = [unshare, "--user", "--map-root-user", "--pid", "--fork", "--kill-child"]
    if subprocess.run([*alone, "true"], capture_output=True).returncode:
        pytest.skip("needs namespaces")
    (code,) = blocks("howto/container.md", "python")
    port = unused_port()
    code = "import os; print('process', os.getpid(), flush=True)\n" + code.replace("8000", str(port))
    it = Process([*alone, sys.executable, "-X", "dev", "-c", code], port)
    try:
        assert it.says(b"process") == b"process 1\n"
        with it.connect() as client:
            client.sendall(HELLO)
            assert receive(client, len(HELLO)) == HELLO
        children = Path(f"/proc/{it.process.pid}/task/{it.process.pid}/children").read_text().split()
        subprocess.run(["kill", f"-{int(signal.SIGTERM)}", *children], check=True)
        assert it.process.wait(PATIENCE) == 0
    finally:
        it.process.kill()
        it.process.communicate()


def test_the_container_starts_no_shell() -> None:
    """Which would be process 1, and keep the signal to itself."""
    (text,) = blocks("howto/container.md", "dockerfile")
    assert re.search(r'^CMD \["python", "/app/chat.py"\]$', text, re.MULTILINE)
    assert "STOPSIGNAL SIGTERM" in text

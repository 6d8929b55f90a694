"""Runs anyio's own tests of TCP streams and listeners on ours: `make anyio-checks`.

They are not a part of the installed anyio: its source distribution is downloaded by pip, in the version that is
installed, and unpacked in a temporary folder. There `connect_tcp`, `create_tcp_listener` and both classes are replaced
by those of `serversocket.aio.anyio`, and `TestTCPStream` and `TestTCPListener` are run on asyncio, uvloop and trio.
What is about something that is not ours is left out, with the reason.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tempfile
from importlib import metadata
from pathlib import Path

CLASSES = ("TestTCPStream", "TestTCPListener")

#: What is not run, and why; by the name of the class and of the test, perhaps with the beginning of its parameters.
LEFT_OUT: dict[str, str] = {
    **dict.fromkeys(
        [
            "TestTCPStream::test_from_socket",
            "TestTCPStream::test_from_socket_not_a_socket",
            "TestTCPStream::test_from_socket_not_connected",
            "TestTCPStream::test_from_socket_pass_file_fd",
            "TestTCPStream::test_from_socket_wrong_socket_type",
            "TestTCPListener::test_from_socket",
            "TestTCPListener::test_from_socket_not_bound",
        ],
        "takes a plain socket over; ours are made of a `Socket` or a `ServerSocket`",
    ),
    **dict.fromkeys(
        [
            "TestTCPStream::test_connect_tcp_with_tls",
            "TestTCPStream::test_connect_tcp_with_tls_cert_check_fail",
            "TestTCPStream::test_connect_tcp_with_tls_unicode_hostname",
        ],
        "an option of anyio's `connect_tcp`",
    ),
    **dict.fromkeys(
        [
            "TestTCPStream::test_happy_eyeballs",
            "TestTCPStream::test_happy_eyeballs_refcycles",
            "TestTCPStream::test_connection_refused",
            "TestTCPStream::test_connect_tcp_closes_winner_on_outer_cancellation",
        ],
        "looks into anyio's own way of trying addresses, and at its errors",
    ),
    **dict.fromkeys(
        [
            "TestTCPListener::test_bind_link_local",
            "TestTCPListener::test_tcp_listener_dualstack_disabled",
            "TestTCPListener::test_tcp_listener_retry_after_partial_failure",
            "TestTCPListener::test_tcp_listener_same_port",
            "TestTCPListener::test_tcp_listener_total_bind_failure",
        ],
        "about anyio's `create_tcp_listener`, which listens on several addresses; ours listens on one",
    ),
    "TestTCPListener::test_accept[asyncio": "stops the reactor's thread in a `recv`; trio has sent by then",
    "TestTCPStream::test_cancelled_receive_pauses_reading": "looks into a transport of asyncio",
    "TestTCPStream::test_cancelled_send_does_not_send_the_next_one": (
        "what a cancelled `send` was given goes out, whole, as the page on async/await says"
    ),
}

#: Changed in the text of the tests: our errors have texts of their own, and not every machine calls ::1 localhost.
OTHERWISE = {
    '("localhost", 0)': "(ADDRESSES[family], 0)",
    "max_bytes must be a positive integer": "max_bytes: -?[01] is not positive",
    "already writing to": "already sending on",
    "already reading from": "already receiving from",
}

#: The module that pytest loads as a plugin: it changes names in anyio's module of tests before they are looked at.
PLUGIN = '''
import os
import socket

import pytest
from anyio.abc import SocketAttribute
from anyio.streams.stapled import MultiListener

import serversocket.aio.anyio as ours

class Look:
    """What the tests look at in a raw socket, which ours do not give away; it changes nothing."""

    def __init__(self, below, family):
        self.below, self.family = below, family

    def fileno(self):
        try:
            return self.below.fileno()
        except OSError:
            return -1

    def gettimeout(self):
        return 0 if not os.get_blocking(self.below.fileno()) else None

    def __getattr__(self, name):
        def ask(*args):
            with socket.socket(fileno=os.dup(self.below.fileno())) as same:
                return getattr(same, name)(*args)

        return ask


def with_raw_socket(kind, below):
    attributes = kind.extra_attributes.fget

    def extra_attributes(self):
        found = attributes(self)
        family = found[SocketAttribute.family]()
        return found | {SocketAttribute.raw_socket: lambda: Look(below(self), family)}

    return type(kind.__name__, (kind,), {"extra_attributes": property(extra_attributes)})


ADDRESSES = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


async def connect_tcp(host, port, *, local_host=None, local_port=None):
    return await ours.connect_tcp(host, port, local_address=local_host, local_port=local_port or 0)


async def create_tcp_listener(
    *, local_host=None, local_port=0, family=socket.AF_UNSPEC, backlog=65536, reuse_port=False
):
    """As anyio's, which looks names up and listens on each address that it finds."""
    if local_host == "localhost":
        hosts = [ADDRESSES[each] for each in ([family] if family else [socket.AF_INET6, socket.AF_INET])]
    else:
        hosts = ["::" if local_host is None else local_host]
    listeners = []
    for host in hosts:
        dual = local_host is None
        it = await ours.create_tcp_listener(local_port, host, backlog=backlog, reuse_port=reuse_port, dual_stack=dual)
        listeners.append(it)
        local_port = it.server.local_port
    return MultiListener(listeners)


def pytest_pycollect_makemodule(module_path, parent):
    module = pytest.Module.from_parent(parent, path=module_path)
    if module_path.name == "test_sockets.py":
        module.obj.ADDRESSES = ADDRESSES
        ours.SocketStream = with_raw_socket(ours.SocketStream, lambda stream: stream.socket.socket)
        ours.SocketListener = with_raw_socket(ours.SocketListener, lambda listener: listener.server.server)
        module.obj.connect_tcp = connect_tcp
        module.obj.create_tcp_listener = create_tcp_listener
        module.obj.SocketStream = ours.SocketStream
        module.obj.SocketListener = ours.SocketListener
    return module
'''


def main() -> int:
    version = metadata.version("anyio")
    with tempfile.TemporaryDirectory() as folder:
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--dest", folder]
        subprocess.run([*pip, "--no-deps", "--no-binary", ":all:", f"anyio=={version}"], check=True)
        (archive,) = Path(folder).glob("anyio-*.tar.gz")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
        source = Path(folder, archive.name.removesuffix(".tar.gz"))
        (source / "serversocket_in_anyio.py").write_text(PLUGIN)
        tests = source / "tests" / "test_sockets.py"
        text = tests.read_text()
        for theirs, ours in OTHERWISE.items():
            text = text.replace(theirs, ours)
        tests.write_text(text)
        command = [sys.executable, "-m", "pytest", "-p", "serversocket_in_anyio", "-p", "no:cacheprovider"]
        for name in LEFT_OUT:
            command += ["--deselect", f"tests/test_sockets.py::{name}"]
        command += [f"tests/test_sockets.py::{name}" for name in CLASSES] + sys.argv[1:]
        # Its own sources are not imported: only the tests stand beside the installed package.
        status = subprocess.run(command, cwd=source, env=os.environ | {"PYTHONPATH": str(source)}).returncode
    print(f"anyio {version}. Left out:")
    for name, reason in LEFT_OUT.items():
        print(f"- {name.replace('[', ' in ')}: {reason}")
    return status


if __name__ == "__main__":
    sys.exit(main())

from __future__ import annotations

import os
import resource
import subprocess
import sys

import pytest

from .helpers import connection, listening, on_linux, on_posix, open_descriptors, python

ECHO = """
import socket
import serversocket
def echo_once():
    server = serversocket.ServerSocket()
    server.bind(0, "127.0.0.1")
    server.listen()
    numbers = [server.fileno()]
    def accept(event):
        numbers.append(event.socket.fileno())
        event.socket.add_event_listener("socketData", answer)
    def answer(event):
        event.target.write(event.target.read())
        event.target.close()
        server.close()
    server.add_event_listener("connect", accept)
    client = serversocket.Socket("127.0.0.1", server.local_port)
    received = bytearray()
    client.add_event_listener("connect", lambda event: (numbers.append(client.fileno()), client.write(b"hello")))
    client.add_event_listener("socketData", lambda event: received.extend(client.read()))
    serversocket.run()
    assert received == b"hello", received
    return numbers
"""


@on_linux
def test_no_descriptor_is_inherited_by_a_new_program():
    before = open_descriptors()
    with connection() as it, listening():
        it.reactor.fileno()
        it.reactor.call_later(1000, print).cancel()
        ours = open_descriptors() - before
        assert {it.socket.fileno(), it.reactor.fileno()} & ours
        code = "import os; print(*[n for n in os.listdir('/proc/self/fd') if os.path.exists(f'/proc/self/fd/{n}')])"
        result = subprocess.run(
            [sys.executable, "-S", "-c", code], close_fds=False, capture_output=True, text=True, check=True
        )
        inherited = set(map(int, result.stdout.split()))
        assert not [number for number in (*ours, it.reactor.fileno()) if os.get_inheritable(number)]
        assert not {it.socket.fileno(), it.reactor.fileno()} & inherited


@on_posix
def test_descriptors_may_be_0_1_and_2():
    python(
        ECHO
        + """
import os
import resource
for number in (0, 1):
    os.close(number)
try:
    numbers = echo_once()
    assert 0 in numbers or 1 in numbers or serversocket.loop.reactor.current_reactor().fileno() in (0, 1), numbers
finally:
    serversocket.loop.reactor.current_reactor().close()
    for number in (0, 1):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
"""
    )


@on_linux
def test_descriptors_may_be_large():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard < 3000:
        pytest.skip("the limit of this process is too low")
    wanted = min(hard, 70_200)
    python(
        ECHO
        + f"""
import os, resource
resource.setrlimit(resource.RLIMIT_NOFILE, ({wanted}, {hard}))
fillers = []
while not fillers or fillers[-1] < {wanted} - 100:
    fillers.append(os.dup(0))
numbers = echo_once()
assert min(numbers) > 1024, numbers
for number in fillers:
    os.close(number)
"""
    )


ENDINGS = {
    "end of the program": "",
    "sys.exit": "import sys; sys.exit(0)",
    "os._exit": "import os; os._exit(0)",
    "sys.exit in a listener": "reactor.call_later(0, sys.exit, 0); serversocket.run()",
    "atexit": "import atexit; atexit.register(lambda: (server.close(), it.close()))",
    "atexit run": (
        "import atexit\n"
        "def finish():\n"
        "    held[0].abort(), it.close(), server.close(), timer.cancel(), serversocket.run()\n"
        "atexit.register(finish)"
    ),
    "collection": "import gc; del server, it, held; gc.collect()",
    "cycle": "holder = [server, it]; holder.append(holder)",
    "modules gone": "sys.modules.clear()",
}


@pytest.mark.parametrize("hosted", ["", "hosted"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_interpreter_ends_well_with_open_sockets(ending, hosted):
    python(
        """
import sys, socket, warnings
warnings.simplefilter("ignore", ResourceWarning)
import serversocket
server = serversocket.ServerSocket()
reactor = server.reactor
held = []
server.add_event_listener("connect", lambda event: held.append(event.socket))
server.bind(0, "127.0.0.1")
server.listen()
it = serversocket.Socket("127.0.0.1", server.local_port)
it.add_event_listener("connect", lambda event: it.write(b"x" * 10_000_000))
it.add_event_listener("close", print)
while not held or not it.connected:
    reactor.poll(1)
timer = reactor.call_later(1000, print)
if sys.argv[1]:
    reactor.fileno()
"""
        + ENDINGS[ending],
        hosted,
    )


@on_posix
def test_interpreter_ends_well_while_a_daemon_thread_waits():
    python(
        """
        import threading
        import serversocket
        ready = threading.Event()
        def serve():
            server = serversocket.ServerSocket()
            server.bind(0, "127.0.0.1")
            server.listen()
            server.add_event_listener("connect", print)
            server.reactor.call_later(0, ready.set)
            serversocket.run()
        threading.Thread(target=serve, daemon=True).start()
        ready.wait(60)
        """
    )


def test_import_opens_nothing_and_starts_nothing():
    python(
        """
        import os, sys, threading
        before = set(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
        import serversocket
        assert threading.active_count() == 1
        if before is not None:
            assert set(os.listdir("/proc/self/fd")) == before
        # What few programs use is imported where they use it.
        unwanted = {"asyncio", "concurrent", "lzma", "ssl", "trio", "zlib"}
        assert not unwanted & sys.modules.keys(), unwanted & sys.modules.keys()
        """
    )

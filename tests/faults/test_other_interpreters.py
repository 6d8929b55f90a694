"""What the package says of interpreters beside the main one, and of a build of Python without the GIL."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import serversocket

from ..behaviour.helpers import python

# A part of the programs below: other interpreters, and a server that answers a plain client.
PRELUDE = """
import socket, sys, threading
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
import serversocket

def create(kind):
    if sys.version_info >= (3, 13):
        return interpreters.create("isolated" if kind == "of its own" else "legacy")
    return interpreters.create(isolated=kind == "of its own")

def run(interpreter, program):
    failed = interpreters.run_string(interpreter, program)
    assert failed is None, failed

ECHO = '''
import serversocket, socket
def echo():
    server = serversocket.ServerSocket()
    server.bind(0, "127.0.0.1")
    server.listen()
    server.add_event_listener("connect", lambda event: (event.socket.write(b"hello"), event.socket.close()))
    with socket.create_connection(("127.0.0.1", server.local_port), timeout=60) as client:
        server.reactor.poll(60)
        assert client.recv(10) == b"hello"
    server.close()
'''
exec(ECHO)
REFUSED = '''
try:
    import serversocket
except ImportError as error:
    assert "interpreter" in str(error), error
else:
    raise AssertionError("not refused")
'''
KIND = sys.argv[1]
NATIVE = serversocket.implementation == "native"
"""

#: The global lock of an interpreter beside the main one: shared, or, from 3.12 on, of its own.
KINDS = [
    "shared",
    pytest.param(
        "of its own",
        marks=pytest.mark.skipif(
            sys.version_info < (3, 12), reason="interpreters have locks of their own from 3.12 on"
        ),
    ),
]


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_interpreter_is_refused_or_served_and_the_first_lives_on(kind):
    python(
        PRELUDE
        + """
echo()
for _ in range(3):
    other = create(KIND)
    run(other, REFUSED if NATIVE else ECHO + "echo(); serversocket.loop.reactor.current_reactor().close()")
    interpreters.destroy(other)
    echo()
""",
        kind,
    )


@pytest.mark.skipif(serversocket.implementation != "pure", reason="the native engine serves one interpreter")
@pytest.mark.parametrize("kind", KINDS)
def test_interpreters_in_threads_serve_side_by_side(kind):
    python(
        PRELUDE
        + """
done = []
def serve():
    other = create(KIND)
    run(other, ECHO + "for _ in range(50): echo()\\nserversocket.loop.reactor.current_reactor().close()")
    interpreters.destroy(other)
    done.append(True)
threads = [threading.Thread(target=serve) for _ in range(4)]
for thread in threads:
    thread.start()
for _ in range(50):
    echo()
for thread in threads:
    thread.join()
assert len(done) == 4
""",
        kind,
    )


@pytest.mark.skipif(serversocket.implementation != "native", reason="about the native engine")
@pytest.mark.parametrize("kind", KINDS)
def test_where_native_is_refused_pure_can_be_asked_for(kind):
    python(
        PRELUDE
        + """
other = create(KIND)
run(other, REFUSED)
interpreters.destroy(other)
other = create(KIND)
run(other, "import os; os.environ['SERVERSOCKET_IMPL'] = 'pure'\\n" + ECHO + "echo(); "
    "assert serversocket.implementation == 'pure'; serversocket.loop.reactor.current_reactor().close()")
interpreters.destroy(other)
echo()
""",
        kind,
    )


def test_the_native_engine_does_not_claim_to_work_without_the_gil():
    root = Path(__file__).parents[2]
    sources = [path for kind in ("pyx", "pxi", "pxd") for path in (root / "src").rglob(f"*.{kind}")]
    assert len(sources) > 10
    for source in (root / "setup.py", *sources):
        assert "freethreading_compatible" not in source.read_text(), source
    if serversocket.implementation == "native":
        # A build without it turns it on again for such a module.
        assert getattr(sys, "_is_gil_enabled", lambda: True)()

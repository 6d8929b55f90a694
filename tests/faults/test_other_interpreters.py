"""What the package says of interpreters beside the main one, and of a build of Python without the GIL."""

from __future__ import annotations

import sys
from pathlib import Path

import serversocket

from ..behaviour.helpers import python

SOURCES = Path(serversocket.__file__).parent


def test_a_second_interpreter_is_refused_or_served_and_the_first_lives_on():
    python(
        """
        import socket, textwrap
        try:
            import _xxsubinterpreters as interpreters
        except ImportError:
            import _interpreters as interpreters
        import serversocket

        def echo():
            server = serversocket.ServerSocket()
            server.bind(0, "127.0.0.1")
            server.listen()
            server.add_event_listener("connect", lambda event: (event.socket.write(b"hello"), event.socket.close()))
            with socket.create_connection(("127.0.0.1", server.local_port), timeout=10) as client:
                server.reactor.poll(10)
                assert client.recv(10) == b"hello"
            server.close()

        echo()
        program = f"implementation = {serversocket.implementation!r}\\n" + textwrap.dedent('''
            try:
                import serversocket
            except ImportError as error:
                assert implementation == "native", error
                assert "interpreter" in str(error), error
            else:
                server = serversocket.ServerSocket()
                server.bind(0, "127.0.0.1")
                server.listen()
                server.close()
                server.reactor.close()
            ''')
        for _ in range(3):
            other = interpreters.create()
            failed = interpreters.run_string(other, program)
            assert failed is None, failed
            interpreters.destroy(other)
            echo()
        """
    )


def test_the_native_engine_does_not_claim_to_work_without_the_gil():
    for source in (*SOURCES.glob("*.pyx"), *SOURCES.glob("*.pxd")):
        assert "freethreading_compatible" not in source.read_text(), source
    if serversocket.implementation == "native":
        # A build without it turns it on again for such a module.
        assert getattr(sys, "_is_gil_enabled", lambda: True)()

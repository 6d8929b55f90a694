from __future__ import annotations

import pytest

from ..behaviour.helpers import connection

testcapi = pytest.importorskip("_testcapi", reason="memory runs out only where CPython's own tests are installed")


@pytest.mark.parametrize("size", [100, 20_000, 60_000, 65_536])
@pytest.mark.parametrize("left", [0, 50])
def test_read_without_memory(size, left, uncaught):
    """Either nothing is lost, or the connection breaks and nothing that comes later is taken for what is missing."""
    received = []

    def read(event):
        if received:
            received.append(event.target.read())
            return
        received.append(event.target.read(event.target.bytes_available - left if left else 0))
        it.peer.sendall(b"later")
        testcapi.set_nomemory(0, 1)
        try:
            received.append(event.target.read())
        finally:
            testcapi.remove_mem_hooks()

    with connection(types=("ioError", "close")) as it:
        it.socket.add_event_listener("socketData", read)
        sent = bytes(index % 251 for index in range(size))
        it.peer.sendall(sent)
        it.until(lambda: it.log.events or b"".join(received).endswith(b"later"))
        if it.log.events:
            assert it.log.types == ["ioError", "close"]
            assert "recv" in it.log.events[0].text
            assert sent.startswith(b"".join(received))
        else:
            assert b"".join(received) == sent + b"later"
        assert all(event.exc_info[0] is MemoryError for event in uncaught)
        uncaught.clear()

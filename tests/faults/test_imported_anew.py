from __future__ import annotations

from ..behaviour.helpers import python


def test_the_package_is_imported_anew():
    python(
        """
        import importlib, sys
        import serversocket

        first = serversocket.Socket
        for name in [name for name in sys.modules if name.partition(".")[0] == "serversocket"]:
            del sys.modules[name]
        import serversocket
        import serversocket.stream

        assert serversocket.Socket is not first
        importlib.reload(serversocket.stream)
        for cls in first, serversocket.Socket, serversocket.stream.Socket:
            assert not cls().connected
            try:
                cls().read()
            except OSError:
                continue
            raise AssertionError
        """
    )

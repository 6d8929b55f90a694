from __future__ import annotations

from ..behaviour.helpers import python


def test_the_package_is_imported_anew():
    python(
        """
        import importlib, socket, sys, time
        import serversocket

        def echo(event):
            event.target.write(event.target.read())

        def serving(package):
            server = package.ServerSocket()
            server.add_event_listener("connect", lambda event: event.socket.add_event_listener("socketData", echo))
            server.bind(0, "127.0.0.1")
            server.listen()
            return server

        def connect(server):
            client = socket.create_connection(("127.0.0.1", server.local_port), timeout=60)
            client.setblocking(False)
            return client

        def is_served(client, server):
            client.send(b"hello")
            received, end = b"", time.monotonic() + 60
            while received != b"hello":
                assert time.monotonic() < end
                server.reactor.poll(0.01)
                try:
                    received += client.recv(100)
                except BlockingIOError:
                    pass

        first = serversocket
        old = serving(first)
        before = connect(old)
        is_served(before, old)
        for name in [name for name in sys.modules if name.partition(".")[0] == "serversocket"]:
            del sys.modules[name]
        import serversocket
        import serversocket.net.socket

        assert serversocket.Socket is not first.Socket
        new = serving(serversocket)
        assert new.reactor is not old.reactor
        clients = [(before, old), (connect(old), old), (connect(new), new)]
        for client, server in clients * 3:
            is_served(client, server)
        importlib.reload(serversocket.net.socket)
        for client, server in [*clients, (connect(new), new), (connect(old), old)]:
            is_served(client, server)
            client.close()
        for cls in first.Socket, serversocket.Socket, serversocket.net.socket.Socket:
            assert not cls().connected
            try:
                cls().read()
            except OSError:
                continue
            raise AssertionError
        for server in old, new:
            server.close()
            server.reactor.run()
        """
    )

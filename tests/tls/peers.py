"""A client of TLS on memory, so that every byte of it can be sent by itself."""

from __future__ import annotations

import contextlib
import socket
import ssl

from serversocket import ServerSocket, Socket

from ..behaviour.helpers import EVENTS, PATIENCE, Log, run_until

VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


class Peer:
    """A plain socket with TLS on memory; `server_side` for the server of a connection."""

    def __init__(self, reactor, sock: socket.socket, context: ssl.SSLContext, *, server_side=False, name="localhost"):
        self.reactor = reactor
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if server_side else name
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side, server_hostname=name)
        self.ended = False
        self.at_end: BaseException | None = None

    def pull(self) -> None:
        """Takes what has come, without waiting."""
        self.sock.setblocking(False)
        try:
            while not self.ended:
                data = self.sock.recv(262144)
                self.ended = not data
                self.incoming.write(data)
        except BlockingIOError:
            pass
        except OSError as error:
            self.ended = True
            self.at_end = error

    def push(self) -> None:
        """Sends what there is to send."""
        data = memoryview(self.outgoing.read())

        def sent() -> bool:
            nonlocal data
            with contextlib.suppress(BlockingIOError):
                while data:
                    data = data[self.sock.send(data) :]
            return not data

        self.sock.setblocking(False)
        run_until(self.reactor, sent)

    def step(self) -> bool:
        """One step of the handshake; returns True when it is over."""
        self.pull()
        try:
            self.tls.do_handshake()
        except ssl.SSLWantReadError:
            self.push()
            if self.ended:
                raise ConnectionResetError from None
            return False
        self.push()
        return True

    def handshake(self) -> Peer:
        run_until(self.reactor, self.step)
        return self

    def send(self, data: bytes) -> None:
        with memoryview(data) as left:
            done = 0
            while done < len(left):
                done += self.tls.write(left[done:])
        self.push()

    def receive(self, size: int) -> bytes:
        """So many bytes."""
        found = bytearray()

        def complete() -> bool:
            self.pull()
            with contextlib.suppress(ssl.SSLWantReadError):
                while len(found) < size:
                    chunk = self.tls.read(size - len(found))
                    assert chunk, f"the stream ended after {len(found)} bytes of {size}"
                    found.extend(chunk)
            assert len(found) >= size or not self.ended, f"cut after {len(found)} bytes of {size}"
            return len(found) >= size

        run_until(self.reactor, complete)
        return bytes(found)

    def receive_all(self) -> bytes:
        """All up to the close_notify; fails if there is none."""
        found = bytearray()

        def over() -> bool:
            self.pull()
            try:
                while chunk := self.tls.read(65536):
                    found.extend(chunk)
            except ssl.SSLWantReadError:
                assert not self.ended, f"cut after {len(found)} bytes"
                return False
            except ssl.SSLZeroReturnError:
                pass
            return True

        run_until(self.reactor, over)
        return bytes(found)

    def notify(self) -> None:
        """Says that nothing more comes."""
        with contextlib.suppress(ssl.SSLError):
            self.tls.unwrap()
        self.push()


class Server:
    """A server with TLS, and the logs of its clients."""

    def __init__(self, server: ServerSocket, tls, *, reading: bool = True) -> None:
        self.server = server
        self.reactor = server.reactor
        self.sockets: list[Socket] = []
        self.logs: list[Log] = []
        self.errors: list = []
        self.peers: list[Peer] = []
        self.reading = reading
        server.tls = tls
        server.add_event_listener("connect", self.connected)
        server.add_event_listener("tlsError", self.errors.append)

    def connected(self, event) -> None:
        self.sockets.append(event.socket)
        self.logs.append(Log(event.socket, reading=self.reading, types=(*EVENTS, "end")))

    def plain(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.server.local_port), timeout=PATIENCE)

    def peer(self, context: ssl.SSLContext, **options) -> Peer:
        self.peers.append(Peer(self.reactor, self.plain(), context, **options))
        return self.peers[-1]

    def until(self, predicate) -> None:
        run_until(self.reactor, predicate)

    def close(self) -> None:
        for each in self.sockets:
            if each.connected:
                each.abort()
        for peer in self.peers:
            peer.sock.close()

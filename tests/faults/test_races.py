"""Everything at once: all connections are made ready between two turns, and each listener harms some of the others.

Every client sends records that bear its own number and are counted, and the server sends them back: a byte that
reaches the wrong owner, twice or not at all shows on both sides. `SERVERSOCKET_LONG=1` in the environment makes it
100,000 events instead of a few thousand.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import struct
import threading
import warnings

from serversocket import ServerSocket
from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import PATIENCE, on_linux, on_posix, reset, run_until, settle, storm_of_signals

pytestmark = on_posix

EVENTS = 100_000 if os.environ.get("SERVERSOCKET_LONG") else 6_000
PEERS = 100
RECORD = struct.Struct(">II")
HARM = ("close", "abort", "listeners", "pause", "swap", "server", "write")


class Records:
    """What one owner receives: only its own number, counted without a gap."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.count = 0
        self.rest = b""

    def take(self, data: bytes) -> None:
        data = self.rest + data
        whole = len(data) - len(data) % RECORD.size
        self.rest = data[whole:]
        for record in RECORD.iter_unpack(data[:whole]):
            assert record == (self.number, self.count)
            self.count += 1


class Peer:
    """A plain client."""

    def __init__(self, number: int, port: int) -> None:
        self.number = number
        self.sent = 0
        self.echoed = Records(number)
        self.over = False
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.socket.setblocking(False)

    def send(self, records: int) -> None:
        data = b"".join(RECORD.pack(self.number, self.sent + index) for index in range(records))
        try:
            self.socket.sendall(data)
        except OSError:
            self.end()
        else:
            self.sent += records

    def receive(self) -> None:
        try:
            while data := self.socket.recv(65536):
                self.echoed.take(data)
        except BlockingIOError:
            return
        except OSError:
            pass
        self.end()

    def end(self, how: str = "close") -> None:
        if how == "reset":
            reset(self.socket)
        elif how == "half":
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
            return
        self.socket.close()
        self.over = True


class Race:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.reactor = current_reactor()
        self.events = self.stray = self.harmed = self.numbers = 0
        self.failures: list[BaseException] = []
        self.peers: list[Peer] = []
        self.owners: dict[tuple[str, int], int] = {}  # the clients' numbers by their addresses
        self.open: dict[object, Records] = {}  # the server's ends
        self.ended: set[object] = set()  # those that it has closed itself in this turn
        self.sentinels: list[int] = []
        self.listen()

    def listen(self) -> None:
        self.server = ServerSocket()
        self.server.bind(0, "127.0.0.1")
        self.server.listen()
        self.server.add_event_listener("connect", self.accepted)

    def accepted(self, event) -> None:
        self.seen(event.target, "connect")
        it = event.socket
        self.open[it] = Records(self.owners[it.remote_address, it.remote_port])
        for type, listener in self.listeners():
            it.add_event_listener(type, listener)
        self.harm()

    def listeners(self):
        return ("socketData", self.data), ("close", self.gone), ("ioError", self.broken), ("outputProgress", self.sent)

    def seen(self, source, type: str) -> None:
        self.events += 1
        if source in self.ended:
            self.stray += 1

    def data(self, event) -> None:
        it = event.target
        self.seen(it, "socketData")
        data = it.read()
        try:
            self.open[it].take(data)
        except AssertionError as error:
            self.failures.append(error)
        it.write(data)
        self.harm()

    def gone(self, event) -> None:
        self.seen(event.target, "close")
        del self.open[event.target]
        self.harm()

    def broken(self, event) -> None:
        self.seen(event.target, "ioError")

    def sent(self, event) -> None:
        self.seen(event.target, "outputProgress")

    def harm(self) -> None:
        """Does something to somebody, perhaps to oneself, one time in four."""
        if not self.open or self.random.random() > 0.25:
            return
        it = self.random.choice(list(self.open))
        if not it.connected:
            return
        self.harmed += 1
        match self.random.choice(HARM):
            case "close" | "abort" as how:
                self.finish(it, how)
            case "listeners":
                type, listener = self.random.choice(self.listeners())
                it.remove_event_listener(type, listener)
                it.add_event_listener(type, listener)
            case "pause":
                it.pause()
                it.resume()
            case "swap":  # the number goes to a stranger at once
                self.finish(it, "abort")
                self.sentinels.append(os.open(os.devnull, os.O_RDONLY))
            case "server":
                self.server.close()
                self.ended.add(self.server)
                self.listen()
            case "write":
                it.flush()

    def finish(self, it, how: str) -> None:
        getattr(it, how)()
        self.ended.add(it)
        del self.open[it]

    def run(self, events: int) -> None:
        while self.events < events:
            self.ended.clear()
            for peer in self.peers:
                chance = self.random.random()
                if chance < 0.9:
                    peer.send(self.random.randrange(1, 9))
                elif chance < 0.96:
                    peer.end(self.random.choice(("close", "reset", "half")))
            self.peers = [peer for peer in self.peers if not peer.over]
            while len(self.peers) < PEERS:
                self.numbers += 1
                peer = Peer(self.numbers, self.server.local_port)
                self.owners[peer.socket.getsockname()] = peer.number
                self.peers.append(peer)
            self.reactor.poll(0)
            for peer in self.peers:
                peer.receive()
            self.peers = [peer for peer in self.peers if not peer.over]
            for number in self.sentinels:
                os.close(number)  # it is still there: nobody else has closed it
            self.sentinels.clear()

    def end(self) -> None:
        for peer in self.peers:
            peer.socket.close()
        for it in list(self.open):
            if it.connected:
                it.abort()
        self.open.clear()
        self.server.close()
        settle(self.reactor)
        # What still sends its last: a child that has not ended yet may have a duplicate of its peer.
        run_until(self.reactor, self.reactor._is_idle)

    def check(self) -> None:
        assert not self.failures
        assert self.stray == 0
        assert self.harmed > self.events / 20


def race(seed: int, events: int = EVENTS) -> Race:
    it = Race(seed)
    try:
        it.run(events)
    finally:
        it.end()
    return it


def test_nothing_reaches_a_closed_socket_or_another_owner():
    race(1).check()


def test_two_threads_race_for_the_same_numbers():
    finished = []

    def other():
        # Descriptors are the process's: what one thread closes, the other gets.
        try:
            finished.append(race(2, EVENTS // 2))
        finally:
            current_reactor().close()

    thread = threading.Thread(target=other)
    thread.start()
    try:
        race(3, EVENTS // 2).check()
    finally:
        thread.join()
    finished[0].check()


def test_signals_every_millisecond():
    seen = []
    with storm_of_signals(lambda number, frame: seen.append(number)):
        race(4, EVENTS // 2).check()
    assert len(seen) > 10


@on_linux
def test_children_that_end_in_every_way_disturb_nothing():
    it = Race(5)
    children = []
    try:
        for part in range(1, 6):
            it.run(part * EVENTS // 10)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # of fork itself
                child = os.fork()
            if not child:
                status = 1
                try:
                    if part % 2:
                        with contextlib.suppress(Exception):  # its last turn is refused in a child
                            it.end()
                    else:
                        it.reactor.close()
                    status = 0
                finally:
                    os._exit(status)
            children.append(child)
        it.run(EVENTS // 2 + PEERS)
    finally:
        it.end()
        for child in children:
            assert os.waitpid(child, 0)[1] == 0
    it.check()

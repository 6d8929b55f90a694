"""Clients that behave as clients do: many at once, in one process, on plain epoll and sockets.

Each is a generator: it yields what it waits for (`READ`, `WRITE`), or for how many seconds. What it got has to be what
it sent; a byte that is lost, doubled or another's ends the run with the client's number, from which it can be repeated.
"""

import contextlib
import errno
import heapq
import json
import random
import select
import socket
import struct
import sys
import time
from collections import Counter
from itertools import count

READ, WRITE = select.EPOLLIN, select.EPOLLOUT
RESET = struct.pack("ii", 1, 0)
PATIENCE = 60.0  # seconds in which something has to come
SOURCES = 250  # addresses 127.0.1.x, so that ports do not run out
IP_BIND_ADDRESS_NO_PORT = 24
PIECE = 16384

# Bytes of which any two places differ; each client begins at another one.
PATTERN = b"".join(number.to_bytes(4, "big") for number in range(0x10000, 0x10000 + 400_000))


#: Bytes that came back and were what had been sent.
compared = 0


class Wrong(Exception):
    """Bytes were lost, doubled or exchanged."""


def compare(chunk, data, got, when):
    """How many bytes have come now that these follow on so many of `data`."""
    global compared
    if not chunk or chunk != data[got : got + len(chunk)]:
        raise Wrong(f"{when}after {got} of {len(data)} bytes: {chunk[:16]!r} instead of {data[got : got + 16]!r}")
    compared += len(chunk)
    return got + len(chunk)


def payload(rng, first, size):
    start = rng.randrange(0, len(PATTERN) - size - 1)
    return first + PATTERN[start : start + size]


def send(sock, data):
    """Sends all of it."""
    view = memoryview(data)
    while view:
        try:
            view = view[sock.send(view[:PIECE]) :]
        except BlockingIOError:
            yield WRITE


def expect(sock, data):
    """Receives exactly this."""
    got = 0
    while got < len(data):
        try:
            chunk = sock.recv(65536)
        except BlockingIOError:
            yield READ
            continue
        got = compare(chunk, data, got, "")


def expect_end(sock, data=b"", *, torn=False):
    """Receives a part of this at most, then the end; `torn`: a reset is an end too."""
    got = 0
    while True:
        try:
            chunk = sock.recv(65536)
        except BlockingIOError:
            yield READ
            continue
        except ConnectionResetError:
            if torn:
                return
            raise
        if not chunk:
            return
        got = compare(chunk, data, got, "before the end, ")


def talk(sock, rng):
    for number in range(rng.randrange(1, 4)):
        data = payload(rng, b"e" if number == 0 else b"", rng.choice((1, 64, 500, 4000)))
        yield from send(sock, data)
        yield from expect(sock, data)


def leave(sock, rng):
    yield from ()


def break_off(sock, rng):
    if rng.random() < 0.7:
        data = payload(rng, b"e", rng.randrange(1, 3000))
        yield from send(sock, data)
        if rng.random() < 0.5:
            yield from expect(sock, data)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)


def half_close(sock, rng):
    data = payload(rng, b"e", rng.randrange(1, 20_000))
    yield from send(sock, data)
    sock.shutdown(socket.SHUT_WR)
    yield from expect(sock, data)
    yield from expect_end(sock)


def stall(sock, rng):
    if rng.random() < 0.5:
        yield from send(sock, b"e")
    yield rng.random() * 0.5


def flood(sock, rng):
    """Sends much before it reads the first of what comes back."""
    data = payload(rng, b"e", rng.randrange(100_000, 1_500_000))
    view, sent, got = memoryview(data), 0, 0
    reading = False
    while got < len(data):
        waits = 0
        if sent < len(data):
            try:
                sent += sock.send(view[sent : sent + 65536])
            except BlockingIOError:
                waits |= WRITE
                reading = True
        if sent == len(data):
            reading = True
        if reading:
            try:
                got = compare(sock.recv(65536), data, got, "in a flood, ")
                continue
            except BlockingIOError:
                waits |= READ
        if waits == (READ | WRITE) or (waits == READ and sent == len(data)):
            yield waits


def be_closed(sock, rng):
    data = payload(rng, b"c", rng.randrange(0, 2000))
    yield from send(sock, data)
    yield from expect_end(sock, data, torn=True)


def be_aborted(sock, rng):
    data = payload(rng, b"a", rng.randrange(0, 2000))
    yield from send(sock, data)
    yield from expect_end(sock, data, torn=True)


def be_paused(sock, rng):
    data = payload(rng, b"p", rng.randrange(1, 5000))
    yield from send(sock, data)
    yield from expect(sock, data)
    more = payload(rng, b"", rng.randrange(1, 5000))
    yield from send(sock, more)
    sock.shutdown(socket.SHUT_WR)
    yield from expect(sock, more)
    yield from expect_end(sock)


# How often each of them comes, in a thousand.
BEHAVIOURS = {
    talk: 480, leave: 120, break_off: 150, half_close: 100, be_closed: 60, be_aborted: 40, be_paused: 25, stall: 20,
    flood: 5,
}  # fmt: skip


class Client:
    def __init__(self, number, seed, port):
        self.number = number
        self.rng = random.Random(f"{seed}/{number}")
        (self.behaviour,) = self.rng.choices(list(BEHAVIOURS), BEHAVIOURS.values())
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        self.socket.bind((f"127.0.1.{1 + number % SOURCES}", 0))
        self.steps = self.life(port)
        self.registered = 0

    def life(self, port):
        code = self.socket.connect_ex(("127.0.0.1", port))
        if code == errno.EINPROGRESS:
            yield WRITE
            code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, f"connect: {errno.errorcode[code]}")
        yield from self.behaviour(self.socket, self.rng)


class Crowd:
    """So many clients at once until there were so many in all."""

    def __init__(self, port, seed, first, total, at_once):
        self.port, self.seed = port, seed
        self.numbers = iter(range(first, first + total))
        self.at_once = at_once
        self.epoll = select.epoll()
        self.clients = {}
        self.timers = []
        self.order = count()
        self.behaved = Counter()
        self.wrong = 0
        self.failures = []
        self.waiting_since = {}

    def run(self, progress):
        done, last = 0, time.monotonic()
        while True:
            while len(self.clients) < self.at_once and (number := next(self.numbers, None)) is not None:
                client = Client(number, self.seed, self.port)
                self.clients[client.socket.fileno()] = client
                done += self.go_on(client)
            if not self.clients:
                return
            due = self.timers[0][0] - time.monotonic() if self.timers else 1.0
            for fd, _ in self.epoll.poll(max(0.0, min(due, 1.0))):
                if fd in self.clients:
                    done += self.go_on(self.clients[fd])
            now = time.monotonic()
            while self.timers and self.timers[0][0] <= now:
                client = heapq.heappop(self.timers)[2]
                done += self.go_on(client)
            if now - last > 1:
                last = now
                progress(done)
                self.lose_patience(now)

    def go_on(self, client):
        """Lets a client take its next step; 1 when it was the last one."""
        fd = client.socket.fileno()
        try:
            wanted = next(client.steps)
        except StopIteration:
            self.behaved[client.behaviour.__name__] += 1
        except (Wrong, OSError) as error:
            self.wrong += isinstance(error, Wrong)
            self.failures.append(f"client {client.number}, {client.behaviour.__name__}: {error}")
        else:
            if isinstance(wanted, float):
                heapq.heappush(self.timers, (time.monotonic() + wanted, next(self.order), client))
                wanted = 0
            self.wait(client, fd, wanted)
            return 0
        self.wait(client, fd, 0)
        client.socket.close()
        del self.clients[fd]
        self.waiting_since.pop(fd, None)
        return 1

    def wait(self, client, fd, wanted):
        self.waiting_since[fd] = time.monotonic()
        if wanted == client.registered:
            return
        if not client.registered:
            self.epoll.register(fd, wanted)
        elif wanted:
            self.epoll.modify(fd, wanted)
        else:
            self.epoll.unregister(fd)
        client.registered = wanted

    def lose_patience(self, now):
        for fd, since in list(self.waiting_since.items()):
            if now - since > PATIENCE:
                client = self.clients[fd]
                client.steps.close()
                client.steps = iter(())
                self.failures.append(f"client {client.number}, {client.behaviour.__name__}: nothing for {PATIENCE:g} s")
                self.go_on(client)


def main():
    port, seed, first, total, at_once = map(int, sys.argv[1:])
    crowd = Crowd(port, seed, first, total, at_once)
    with contextlib.suppress(BrokenPipeError):
        crowd.run(lambda done: print(json.dumps({"done": done}), flush=True))
        said = {"behaved": crowd.behaved, "wrong": crowd.wrong, "compared": compared, "failures": crowd.failures}
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()

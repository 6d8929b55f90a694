"""Twisted on its epoll reactor."""

import functools
import json
import sys

import corpus
import program
from common import ADDRESS, BACKLOG, announce, role
from program import Batch, Deliberate, in_child, piece, prepare_to_end, say
from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet import reactor  # noqa: E402 (the reactor is chosen by now)
from twisted.internet.protocol import Factory, Protocol  # noqa: E402


class Echo(Protocol):
    def dataReceived(self, data):
        self.transport.write(data)


class Offer(Protocol):
    def connectionMade(self):
        for _ in range(program.OFFER):
            self.transport.write(piece())
        say("OFFERED")


class RaiseConnect(Echo):
    def connectionMade(self):
        raise Deliberate


class RaiseData(Echo):
    def dataReceived(self, data):
        if program.RAISE in data:
            raise Deliberate
        self.transport.write(data)


class RaiseClose(Echo):
    def connectionLost(self, reason):
        raise Deliberate


class InBatch(Protocol):
    state = Batch()

    def connectionMade(self):
        self.state.members.add(self)

    def dataReceived(self, data):
        # Not loseConnection, after which Twisted promises nothing.
        self.state.received(self, data, self.transport.write, lambda other: other.transport.abortConnection())

    def connectionLost(self, reason):
        self.state.members.discard(self)


class Fork(Protocol):
    def dataReceived(self, data):
        name = data.decode()
        if name in program.FORK:
            in_child(name, port.stopListening if name == "listener" else self.transport.loseConnection)
        self.transport.write(data)


class Leave(Protocol):
    def dataReceived(self, data):
        way = data.decode()
        prepare_to_end(way, self.transport, self.transport.loseConnection)
        if way == "exit":
            sys.exit(0)
        reactor.callFromThread(reactor.stop)


class Server(Factory):
    noisy = False

    def stopFactory(self):
        """Called when the last port that uses this factory is gone."""
        say("TOLD")


def listen(address, number):
    reactor.listenTCP(number, Server.forProtocol(Echo), interface=address).stopListening()


def bind():
    say(json.dumps(corpus.accepted(listen)))


ROLES = {
    "echo": Echo,
    "offer": Offer,
    "raise-connect": RaiseConnect,
    "raise-data": RaiseData,
    "raise-close": RaiseClose,
    "batch": InBatch,
    "fork": Fork,
    "exit": Leave,
    "exit-signal": Leave,
    "exit-thread": Leave,
    "bind": bind,
}


def serve(protocol, **options):
    global port
    port = reactor.listenTCP(0, Server.forProtocol(protocol), backlog=BACKLOG, interface=ADDRESS)
    announce(port.getHost().port)
    reactor.run(**options)


if __name__ == "__main__":
    protocol, name = role(ROLES), sys.argv[-1]
    if protocol is bind:
        bind()
    elif name == "exit-thread":
        program.in_daemon_thread(functools.partial(serve, protocol, installSignalHandlers=False))
    else:
        if name == "exit-signal":
            program.end_by_signal()
        serve(protocol)

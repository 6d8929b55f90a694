"""Twisted on its epoll reactor."""

import json
import threading

import corpus
import trouble
from common import ADDRESS, BACKLOG, CHUNK, announce, say
from trouble import Batch, Deliberate
from twisted.internet import epollreactor

epollreactor.install()

from twisted.internet import reactor  # noqa: E402 (the reactor is chosen by now)
from twisted.internet.interfaces import IPullProducer  # noqa: E402
from twisted.internet.protocol import Factory, Protocol  # noqa: E402
from zope.interface import implementer  # noqa: E402


class Accept(Protocol):
    def connectionMade(self):
        self.transport.loseConnection()


class Reply(Protocol):
    def dataReceived(self, data):
        self.transport.write(data)
        self.transport.loseConnection()


class Echo(Protocol):
    def dataReceived(self, data):
        self.transport.write(data)


class Discard(Protocol):
    def dataReceived(self, data):
        pass


@implementer(IPullProducer)
class Chargen(Protocol):
    def connectionMade(self):
        self.transport.registerProducer(self, False)

    def resumeProducing(self):
        self.transport.write(CHUNK)

    def stopProducing(self):
        pass


class Offer(Protocol):
    def connectionMade(self):
        trouble.offer(self.transport.write)


class RaiseConnect(Echo):
    def connectionMade(self):
        raise Deliberate


class RaiseData(Echo):
    def dataReceived(self, data):
        trouble.reply_or_raise(data, self.transport.write)


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
        trouble.fork(data, port.stopListening, self.transport.loseConnection, self.transport.write)


class Leave(Protocol):
    def dataReceived(self, data):
        trouble.leave(data, self.transport, self.transport.loseConnection, lambda: reactor.callFromThread(reactor.stop))


class Server(Factory):
    noisy = False

    def stopFactory(self):
        """Called when the last port that uses this factory is gone."""
        say("TOLD")


def listen(address, number):
    reactor.listenTCP(number, Server.forProtocol(Echo), interface=address).stopListening()


def bind():
    say(json.dumps(corpus.accepted(listen)))


ROLES = trouble.roles_in(globals(), trouble.class_for)


def serve(protocol):
    global port
    port = reactor.listenTCP(0, Server.forProtocol(protocol), backlog=BACKLOG, interface=ADDRESS)
    announce(port.getHost().port)
    reactor.run(installSignalHandlers=threading.current_thread() is threading.main_thread())


if __name__ == "__main__":
    trouble.main(ROLES, serve, bind=bind)

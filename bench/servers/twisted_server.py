"""Twisted on its epoll reactor."""

from common import ADDRESS, BACKLOG, CHUNK, announce, role
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


class Server(Factory):
    noisy = False
    protocol = role({"accept": Accept, "reply": Reply, "echo": Echo, "discard": Discard, "chargen": Chargen})


announce(reactor.listenTCP(0, Server(), backlog=BACKLOG, interface=ADDRESS).getHost().port)
reactor.run()

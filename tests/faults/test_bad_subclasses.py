from __future__ import annotations

import pytest

from serversocket import Event, EventDispatcher, ServerSocket, Socket

from ..behaviour.helpers import connect_to, ended, listening, run_until


class Nothing(Socket):
    def __new__(cls):
        return None


def test_class_of_sockets_that_makes_none(uncaught):
    accepted = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: accepted.append(event.socket))
        server._socket_class = Nothing
        with connect_to("127.0.0.1", server.local_port) as peer:
            run_until(server.reactor, lambda: uncaught)
            run_until(server.reactor, lambda: ended(peer))
        error = uncaught.pop().exc_info[1]
        assert isinstance(error, TypeError)
        assert not accepted
        assert not uncaught
        server._socket_class = Socket
        with connect_to("127.0.0.1", server.local_port):
            run_until(server.reactor, lambda: accepted)
            accepted.pop().close()


def test_data_that_is_made_into_nothing():
    class Careless(Socket):
        def _coerce(self, data):
            return None

    accepted = []
    with listening() as server:
        server.add_event_listener("connect", lambda event: accepted.append(event.socket))
        server._socket_class = Careless
        with connect_to("127.0.0.1", server.local_port) as peer:
            run_until(server.reactor, lambda: accepted)
            with accepted.pop() as it:
                with pytest.raises(TypeError):
                    it.write(3)
                it.write(b"bytes")
                assert it.bytes_pending == 5
                it.flush()
                assert peer.recv(10) == b"bytes"


CALLS = {
    "bind": lambda server, it: server.bind(0),
    "listen": lambda server, it: server.listen(),
    "close the server": lambda server, it: server.close(),
    "listen to clients": lambda server, it: server.add_event_listener("connect", print),
    "connect": lambda server, it: it.connect("127.0.0.1", 9),
    "write": lambda server, it: it.write(b"x"),
    "read": lambda server, it: it.read(),
    "read a number": lambda server, it: it.read_int(),
    "close": lambda server, it: it.close(),
    "keep alive": lambda server, it: setattr(it, "keep_alive", 60),
    "idle timeout": lambda server, it: setattr(it, "idle_timeout", 60),
    "timeout": lambda server, it: setattr(it, "timeout", 1000),
    "endian": lambda server, it: setattr(it, "endian", "littleEndian"),
    "no delay": lambda server, it: setattr(it, "tcp_no_delay", True),
}


@pytest.mark.parametrize("call", CALLS)
def test_class_that_forgets_to_call_init_of_its_base(call):
    class Forgetful(Socket):
        def __init__(self):
            pass

    class ForgetfulServer(ServerSocket):
        def __init__(self):
            pass

    with pytest.raises(RuntimeError, match=r"^Forgetful(Server)?\.__init__\(\) was not called$"):
        CALLS[call](ForgetfulServer(), Forgetful())


@pytest.mark.parametrize("kind", [Socket, ServerSocket])
@pytest.mark.parametrize("reactor", [5, "reactor", EventDispatcher(), Socket])
def test_reactor_that_is_none(kind, reactor):
    with pytest.raises(TypeError, match=r"^reactor must be a Reactor, not "):
        kind(reactor=reactor)


@pytest.mark.parametrize("nth", range(1, 7))
def test_type_of_an_event_whose_hash_changes_the_listeners(nth):
    dispatcher = EventDispatcher()
    seen = []

    def one(event):
        seen.append(("one", event.type))

    def other(event):
        seen.append(("other", event.type))

    class Type(str):
        hashed = 0

        def __hash__(self):
            Type.hashed += 1
            if Type.hashed == nth:
                dispatcher.remove_event_listener("a", one)
            return str.__hash__(self)

        __eq__ = str.__eq__

    dispatcher.add_event_listener("a", one)
    dispatcher.add_event_listener(Type("b"), other)
    assert dispatcher.has_event_listener(Type("b"))
    assert dispatcher.has_event_listener("b")
    dispatcher.dispatch_event(Event(Type("b")))
    assert seen == [("other", "b")]
    dispatcher.remove_event_listener(Type("b"), other)
    assert not dispatcher.has_event_listener("b")
    dispatcher.remove_event_listener("a", one)
    assert not dispatcher.has_event_listener("a")

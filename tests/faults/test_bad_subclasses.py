from __future__ import annotations

import pytest

from serversocket import Event, EventDispatcher, Socket

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

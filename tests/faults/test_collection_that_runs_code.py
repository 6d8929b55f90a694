from __future__ import annotations

import pytest

from ..behaviour.helpers import python

PROLOGUE = """
import gc, select, socket, warnings, weakref
import serversocket
warnings.simplefilter("ignore", ResourceWarning)
held, ran = [], []
server = serversocket.ServerSocket()
server.bind(0, "127.0.0.1")
server.listen()
server.add_event_listener("connect", lambda event: held.append(event.socket))
reactor = server.reactor
def connect():
    client = socket.create_connection(("127.0.0.1", server.local_port), timeout=60)
    while not held:
        reactor.poll(1)
    return client
def poll():
    ran.append(reactor.poll(0))
def close():
    ran.append(reactor.close())
class Attribute:
    def __init__(self, action):
        self.action = action
    def __del__(self):
        self.action()
def forget():
    select.select([held[0].fileno()], [], [], 10)
    held.clear()
    gc.collect()
    assert ran
client = connect()
client.sendall(b"hello")
"""
EPILOGUE = """
client.close()
if not reactor.closed:
    client = connect()
    client.sendall(b"again")
    while not held[0].bytes_available:
        reactor.poll(1)
    assert held[0].read() == b"again"
    held.pop().close()
    client.close()
    server.close()
    reactor.run()
"""


@pytest.mark.parametrize("action", ["poll", "close"])
@pytest.mark.parametrize("cyclic", [False, True])
def test_attribute_that_uses_the_reactor_while_its_socket_goes(action, cyclic):
    python(
        PROLOGUE
        + f"""
held[0].attribute = Attribute({action})
if {cyclic}:
    held[0].itself = held[0]
forget()
"""
        + EPILOGUE
    )


@pytest.mark.parametrize("last_words", ["held[0].attribute = Attribute(take)", "ref = weakref.ref(held[0], take)"])
def test_descriptor_that_has_another_owner_before_its_socket_is_gone(last_words):
    python(
        PROLOGUE
        + f"""
import contextlib, os
descriptor = held[0].fileno()
def take(reference=None):
    with contextlib.suppress(OSError):
        os.close(descriptor)
    other.bind(0, "127.0.0.1")
    other.listen()
    ran.append(other.fileno())
other = serversocket.ServerSocket()
other.add_event_listener("connect", lambda event: held.append(event.socket))
{last_words}
forget()
assert ran == [descriptor] and server.connections == 0, (ran, server.connections)
with socket.create_connection(("127.0.0.1", other.local_port), timeout=60):
    while not held:
        reactor.poll(1)
    held.pop().close()
assert other.fileno() == descriptor
other.close()
"""
        + EPILOGUE
    )


@pytest.mark.parametrize("action", ["poll", "close"])
def test_finalizer_that_uses_the_reactor(action):
    python(PROLOGUE + f"weakref.finalize(held[0], {action})\nforget()\n" + EPILOGUE)


@pytest.mark.parametrize("action", ["poll", "close"])
def test_warning_that_uses_the_reactor(action):
    python(
        PROLOGUE
        + f"""
while not held[0].bytes_available:
    reactor.poll(1)
client.sendall(b"more")
warnings.simplefilter("always", ResourceWarning)
warnings.showwarning = lambda *arguments, **options: {action}()
forget()
warnings.simplefilter("ignore", ResourceWarning)
"""
        + EPILOGUE
    )


def test_object_in_an_event_that_serves_another_reactor_while_it_goes():
    python(
        """
        import gc, socket
        import serversocket

        accepted = []

        def listen(listener):
            server = serversocket.ServerSocket(reactor=serversocket.Reactor())
            server.bind(0, "127.0.0.1")
            server.listen()
            server.add_event_listener("connect", listener)
            return server

        def visit(server):
            with socket.create_connection(("127.0.0.1", server.local_port)):
                before = len(accepted)
                while len(accepted) == before:
                    server.reactor.poll(1)

        class Visitor:
            def __del__(self):
                visit(other)

        def connected(event):
            accepted.append(1)
            event.socket.close()
            event.socket = Visitor()

        def count():
            gc.collect()
            return sum(type(it) is serversocket.ServerSocketConnectEvent for it in gc.get_objects())

        other = listen(lambda: accepted.append(2))
        server = listen(connected)
        visit(server)
        before = count()
        for _ in range(10):
            visit(server)
        assert accepted == [1, 2] * 11, accepted
        assert count() == before, (count(), before)
        for it in server, other:
            it.close()
            it.reactor.close()
        """
    )


@pytest.mark.parametrize("when", ["warning", "callback"])
def test_a_weak_reference_does_not_bring_back_what_is_dying(when):
    """On pure the warning comes before the end, and who has kept the object then has it, closed."""
    python(
        f"""
        import gc, warnings, weakref
        import serversocket
        kept = []
        server = serversocket.ServerSocket()
        server.bind(0, "127.0.0.1")
        first, second = weakref.ref(server), weakref.ref(server, lambda reference: ask())
        servers = weakref.WeakSet([server])
        def ask(*arguments, **options):
            kept.extend([first(), second(), *servers])
        warnings.simplefilter("always", ResourceWarning)
        warnings.showwarning = ask if {when == "warning"} else lambda *arguments, **options: None
        del server
        gc.collect()
        assert kept
        for it in kept:
            if serversocket.implementation == "native" or {when == "callback"}:
                assert it is None, it
            else:
                assert not it.bound, it
        """
    )


@pytest.mark.parametrize("kind", ["Socket", "ServerSocket", "Reactor", "EventDispatcher"])
@pytest.mark.parametrize("others", [False, True])
def test_who_listens_to_itself_or_to_each_other_with_methods_is_collected(kind, others):
    """It is what a program that inherits does, and nothing but tuples and methods lies on the way."""
    python(
        f"""
        import gc
        import serversocket
        class Listening(serversocket.{kind}):
            def listen_to(self, other):
                other.add_event_listener("close", self.on_close)
                other.add_event_listener("of its own", self.on_close, priority=1)
            def on_close(self, event):
                pass
        for _ in range(100):
            one, other = Listening(), Listening()
            if {others}:
                one.listen_to(other)
                other.listen_to(one)
            else:
                one.listen_to(one)
                other.listen_to(other)
            if hasattr(one, "poll"):
                one.close()
                other.close()
            del one, other
        gc.collect()
        left = sum(type(it) is Listening for it in gc.get_objects())
        assert left == 0, left
        """
    )


@pytest.mark.parametrize("last_call", range(-3, 4))
@pytest.mark.parametrize("action", ["reactor.poll(0)", "reactor.close()", "reactor._end_idle()"])
def test_a_dying_socket_that_lingers_is_found_by_nobody(action, last_call):
    """Who sends its last words has to be made; what the collector runs then finds the reactor without it."""
    python(
        PROLOGUE
        + f"""
gc.disable()
held[0].write(b"x")
held[0].flush()
reactor.poll(0)
client.sendall(b"more")
select.select([held[0].fileno()], [], [], 10)
class Last:
    def __del__(self):
        ran.append(1)
        {action}
last = Last()
last.itself = last
del last
gc.set_threshold(gc.get_count()[0] + {last_call})
gc.enable()
held.clear()
gc.disable()
gc.collect()
assert ran
if not reactor.closed:
    while client.recv(10):
        reactor.poll(0)
"""
        + EPILOGUE
    )

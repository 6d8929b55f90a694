"""What others in the process do to it: exceptions from nowhere, new programs, descriptors closed by another thread."""

from __future__ import annotations

import pytest

from ..behaviour.helpers import on_linux, on_posix, python

pytestmark = on_posix

ECHO = """
import ctypes, gc, itertools, os, signal, socket, subprocess, sys, threading, time, warnings
import serversocket
held, opened = [], []
server = serversocket.ServerSocket()
server.bind(0, "127.0.0.1")
server.listen()
reactor = server.reactor
def accept(event):
    held.append(event.socket)
    event.socket.add_event_listener("socketData", lambda event: event.target.write(event.target.read()))
server.add_event_listener("connect", accept)
def connect():
    client = socket.create_connection(("127.0.0.1", server.local_port), timeout=60)
    before = len(held)
    while len(held) == before:
        reactor.poll(1)
    client.setblocking(False)
    opened.append(client)
    return client
def is_served(client, turn=lambda: reactor.poll(0.01)):
    client.send(b"hello")
    received, end = b"", time.monotonic() + 60
    while received != b"hello":
        assert time.monotonic() < end
        turn()
        try:
            received += client.recv(100)
        except BlockingIOError:
            pass
def end():
    for client in opened:
        client.close()
    for it in held:
        with it:
            pass
    server.close()
    reactor.run()
"""


def test_exceptions_that_another_thread_throws_in_lose_nothing():
    python(
        ECHO
        + """
class Thrown(Exception):
    pass
connect()
main, over, caught = threading.get_ident(), threading.Event(), 0
def throw():
    thrown = 0
    time.sleep(0.1)
    while thrown < 200 or caught <= 10:
        thrown += 1
        time.sleep(0.002)
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(main), ctypes.py_object(Thrown))
    over.set()
# Thrown into a listener it is an error like others, elsewhere it leaves the reactor.
reactor.add_event_listener("uncaughtError", lambda event: None)
thread = threading.Thread(target=throw)
thread.start()
def turns():
    global caught
    while not over.is_set():
        try:
            reactor.poll(0.001)
        except Thrown:
            caught += 1
    time.sleep(0.05)
def survive():
    try:
        turns()
    except Thrown:
        survive()  # thrown between two turns, or in here
survive()
thread.join()
assert caught > 10, caught
is_served(connect())
end()
"""
    )


def test_a_tracing_function_that_raises_in_listeners_leaves_the_reactor_usable():
    python(
        ECHO
        + """
client = connect()
class Traced(Exception):
    pass
raised = 0
for nth in range(1, 60):
    count = 0
    def trace(frame, what, argument):
        global count, raised
        if frame.f_code.co_filename != "<string>":
            return None  # lines of the package's own could be made to clean up nothing
        count += 1
        if count == nth:
            sys.settrace(None)
            raised += 1
            raise Traced
        return trace
    reactor.add_event_listener("uncaughtError", lambda event: None)
    other = socket.create_connection(("127.0.0.1", server.local_port), timeout=60)
    sys.settrace(trace)
    try:
        reactor.poll(0)
    except Traced:
        pass
    finally:
        sys.settrace(None)
    opened.append(other)
assert raised >= 3, raised
for _ in range(200):
    reactor.poll(0)
is_served(connect())
end()
"""
    )


@pytest.mark.parametrize("hook", ["None", "lambda: None"])
def test_new_programs_started_meanwhile_disturb_nothing(hook):
    python(
        ECHO
        + f"""
warnings.simplefilter("ignore", DeprecationWarning)
clients = [connect() for _ in range(3)]
reactor.fileno()
for _ in range(5):
    subprocess.run(["true"], preexec_fn={hook}, check=True, close_fds=False)
    child = os.posix_spawn("/bin/sh", ["sh", "-c", "exit 0"], dict(os.environ))
    assert os.waitpid(child, 0)[1] == 0
    for client in clients:
        is_served(client)
assert server.listening
end()
"""
    )


@on_linux
def test_a_descriptor_that_another_thread_closes_while_the_reactor_waits():
    python(
        ECHO
        + """
clients = [connect() for _ in range(20)]
numbers = [it.fileno() for it in held]
strangers = []
def close():
    for number in numbers[:10]:
        time.sleep(0.005)
        os.close(number)
        strangers.append(os.open(os.devnull, os.O_RDONLY))
thread = threading.Thread(target=close)
thread.start()
while thread.is_alive():
    is_served(clients[15])
thread.join()
for it in held[:10]:
    with it:
        pass
gc.collect()
for number in strangers:
    assert os.readlink(f"/proc/self/fd/{number}") == os.devnull
    os.close(number)
for client in clients[10:]:
    is_served(client)
end()
"""
    )


def test_objects_that_hold_each_other_are_collected_in_every_order():
    python(
        ECHO
        + """
warnings.simplefilter("ignore", ResourceWarning)
class Holder:
    pass
gc.disable()
names = ("reactor", "server", "client", "accepted", "event", "handle")
for order in itertools.permutations(names):
    own = serversocket.Reactor()
    it = serversocket.ServerSocket(reactor=own)
    events = []
    it.add_event_listener("connect", events.append)
    it.bind(0, "127.0.0.1")
    it.listen()
    client = serversocket.Socket(reactor=own)
    client.connect("127.0.0.1", it.local_port)
    while not events or not client.connected:
        own.poll(1)
    accepted = events[0].socket
    everything = [own, it, client, accepted, events.pop(), own.call_later(1000, print)]
    for one, other in zip(everything, everything[1:] + everything[:1]):
        if isinstance(one, serversocket.EventDispatcher):
            one.neighbour = other
            one.add_event_listener("x", other.dispatch_event if other is own else lambda event, kept=other: kept)
    kept = dict(zip(names, everything))
    del own, it, client, accepted, everything, one, other
    for name in order:
        del kept[name]
        if len(kept) in (0, 3):
            gc.collect(0)
gc.collect()
gc.enable()
is_served(connect())
end()
"""
    )


def test_weak_listeners_that_go_in_a_collection_during_a_dispatch():
    python(
        """
import gc
import serversocket
class Handler:
    def __init__(self):
        self.itself = self
    def on(self, event):
        seen.append(self)
    def __del__(self):
        dispatcher.remove_event_listener("x", print)
        dispatcher.add_event_listener("x", int.__class__, priority=-5, use_capture=True)
seen = []
dispatcher = serversocket.EventDispatcher()
for round in range(200):
    handlers = [Handler() for _ in range(5)]
    for priority, handler in enumerate(handlers):
        dispatcher.add_event_listener("x", handler.on, priority=priority, use_weak_reference=True)
        dispatcher.add_event_listener("x", handler.on, use_capture=True, use_weak_reference=True)
    def collect(event):
        handlers.clear()
        gc.collect()
    del handler
    dispatcher.add_event_listener("x", collect, priority=10)
    dispatcher.dispatch_event(serversocket.Event("x"))
    assert not seen, round
    dispatcher.remove_event_listener("x", collect)
    gc.collect()
dispatcher.remove_event_listener("x", int.__class__, use_capture=True)
assert not dispatcher.has_event_listener("x")
"""
    )


def test_output_to_stderr_that_is_closed_does_not_end_the_service():
    python(
        ECHO
        + """
sys.stderr.close()
os.close(2)
os.open(os.devnull, os.O_WRONLY)
client = connect()
def fail(event):
    raise ZeroDivisionError
held[0].add_event_listener("socketData", fail, priority=1)
for _ in range(20):
    is_served(client)
end()
"""
    )


@on_linux
def test_descriptors_beyond_65535():
    python(
        ECHO
        + """
import resource
try:
    resource.setrlimit(resource.RLIMIT_NOFILE, (70_000, max(70_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1])))
except (ValueError, OSError):
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
fillers = [os.dup(0)]
while fillers[-1] < limit - 300:
    fillers.append(os.dup(0))
clients = [connect() for _ in range(50)]
assert min(it.fileno() for it in held) > fillers[-1]
assert limit < 70_000 or min(it.fileno() for it in held) > 65_535
for client in clients:
    is_served(client)
end()
for number in fillers:
    os.close(number)
"""
    )

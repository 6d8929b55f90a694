from __future__ import annotations

import contextlib
import copy
import pickle

import pytest

import serversocket
from serversocket import engine

from .helpers import python

PUBLIC = ["ServerSocket", "Socket", "Reactor", "EventDispatcher"]


@pytest.mark.parametrize(
    "name",
    ["Acceptor", "Stream", "Connector", "Reactor", "EventDispatcher", "Event", "ProgressEvent", "OutputProgressEvent",
     "ServerSocketConnectEvent", "public ServerSocket", "public Socket", "public Reactor", "Source", "Output", "Input",
     "Lingerer"],
)  # fmt: skip
def test_every_method_of_an_object_without_init_ends_in_an_exception_at_most(name):
    python(
        """
        import contextlib, io, itertools, logging, sys, warnings
        import serversocket
        from serversocket import engine
        warnings.simplefilter("ignore")
        logging.disable()
        kind, _, public = sys.argv[1].rpartition(" ")
        owner = serversocket if kind else engine._chosen
        cls = getattr(owner, public, None)
        if cls is None:
            import importlib
            cls = getattr(importlib.import_module("serversocket.engine.pure." + public.lower()), public)
        other = serversocket.Reactor()
        junk = [None, 0, -1, 2**70, "", "127.0.0.1", b"x", (), [], object(), print, other, serversocket.Socket(),
                serversocket.Event("x"), 1.5]
        skipped = {"__class__", "__init_subclass__", "__subclasshook__", "__new__", "__getattribute__", "__del__",
                   "__delattr__", "__setattr__", "__dir__", "__getstate__", "__sizeof__", "__setstate__",
                   "__setstate_cython__"}
        def make():
            try:
                return cls.__new__(cls)
            except Exception:
                return None
        names = [name for name in dir(cls) if name not in skipped and (name.endswith("__") or not name.endswith("_"))]
        def tries(name):
            yield ()
            for value in junk:
                yield (value,)
            for pair in itertools.product(junk[:8], repeat=2):
                yield pair
            yield (2, "127.0.0.1", 0, 0, False)
            yield (2, "no address", 0, 0, False)
            yield (99, "127.0.0.1", 0, 0, False)
            yield (other, 2, ("127.0.0.1", 9), print)
        blocking = {"run", "poll"}
        for name in names:
            for arguments in tries(name):
                it = make()
                if it is None:
                    break
                try:
                    member = getattr(it, name)
                except Exception:
                    continue
                if not callable(member):
                    break
                if name in blocking and not (arguments and arguments[0] in (0, "", -1)):
                    it.stop() if hasattr(it, "stop") else None
                    if name == "poll":
                        continue
                try:
                    with contextlib.redirect_stdout(io.StringIO()):
                        member(*arguments)
                except (Exception, BaseExceptionGroup):
                    pass
                del member, it
            # and one after the other on one object
        it = make()
        for name in names:
            if it is None or name in ("run", "poll"):
                continue
            try:
                getattr(it, name)()
            except Exception:
                pass
        """,
        name,
    )


@pytest.mark.parametrize("name", PUBLIC)
def test_copy_and_pickle_are_refused_or_fine(name):
    it = getattr(serversocket, name)()
    for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
        with contextlib.suppress(TypeError, AttributeError, RuntimeError, pickle.PicklingError):
            result = attempt(it)
            if isinstance(result, bytes):
                pickle.loads(result)
    if name == "Reactor":
        it.close()


def test_what_has_listeners_has_no_copies():
    class Model(serversocket.EventDispatcher):
        pass

    for it in (serversocket.EventDispatcher(), Model(), serversocket.Socket(), serversocket.ServerSocket()):
        for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
            with pytest.raises(TypeError, match=f"cannot copy or pickle '{type(it).__name__}' object"):
                attempt(it)


@pytest.mark.parametrize("again", [copy.copy, copy.deepcopy, lambda event: pickle.loads(pickle.dumps(event))])
def test_events_have_copies(again):
    events = [
        serversocket.Event("x", True, True),
        serversocket.ProgressEvent("x", bytes_loaded=4, bytes_total=0.5),
        serversocket.OutputProgressEvent("x", bytes_pending=4),
        serversocket.ServerSocketConnectEvent("x", socket="any"),
        serversocket.IOErrorEvent("x", text="broken", id=2031, errno=5, strerror="why"),
    ]
    events[0].prevent_default()
    for event in events:
        copied = again(event)
        assert type(copied) is type(event)
        assert copied.to_string() == event.to_string()
        assert copied.is_default_prevented() == event.is_default_prevented()
        assert copied.target is None
    assert copied.errno == 5


@pytest.mark.parametrize("name", ["ServerSocket", "Socket"])
def test_copy_of_an_open_one_is_refused(name):
    with serversocket.ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        server.listen()
        with serversocket.Socket("127.0.0.1", server.local_port) as it:
            for attempt in (copy.copy, copy.deepcopy, pickle.dumps):
                with pytest.raises((TypeError, AttributeError)):
                    attempt(server if name == "ServerSocket" else it)
            assert server.listening


def test_init_twice_is_refused_or_changes_nothing():
    with serversocket.ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        known = (server.local_port, server.reactor)
        with contextlib.suppress(RuntimeError):
            server.__init__()
        assert (server.local_port, server.reactor) == known


@pytest.mark.parametrize("reactor", [5, "x", object(), serversocket.EventDispatcher()])
@pytest.mark.parametrize("make", [serversocket.ServerSocket, serversocket.Socket])
def test_reactor_that_is_none_is_refused(make, reactor):
    with pytest.raises((TypeError, AttributeError)):
        make(reactor=reactor)


def test_engine_tells_its_name():
    assert serversocket.implementation in ("native", "pure")
    assert serversocket.implementation == engine.implementation

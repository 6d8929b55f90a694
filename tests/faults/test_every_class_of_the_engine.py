"""Every class of the engine in the hands of somebody who does all of it wrong: exceptions, never a crash."""

from __future__ import annotations

import importlib
import pkgutil

import pytest

import serversocket

from ..behaviour.helpers import python


def classes() -> list[str]:
    """All that the modules of the chosen engine define, private ones included."""
    package = serversocket
    if serversocket.implementation == "pure":
        package = importlib.import_module("serversocket.engine.pure")
    found = set()
    for module in pkgutil.iter_modules(package.__path__, package.__name__ + "."):
        if serversocket.implementation == "native" and not module.name.rpartition(".")[2].startswith("_"):
            continue
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, type) and value.__module__ == module.name:
                found.add(f"{module.name}:{name}")
    return sorted(found)


@pytest.mark.parametrize("name", classes())
def test_it_raises_and_lives_on(name):
    python(
        """
        import asyncio, contextlib, copy, faulthandler, gc, importlib, io, logging, pickle, sys, types, warnings
        faulthandler.dump_traceback_later(40, exit=True)
        warnings.simplefilter("ignore")
        logging.disable()
        sys.unraisablehook = lambda told: None
        import serversocket
        module, name = sys.argv[1].split(":")
        cls = getattr(importlib.import_module(module), name)
        reactor = serversocket.Reactor()
        junk = [None, 0, -1, 2**31, 2**70, 1.5, "", "x", b"x", (), [], {}, object(), print, cls, reactor,
                serversocket.Socket(), serversocket.Event("x"), (None, ((1,),) * 9)]
        arguments = [(), *((value,) for value in junk), (reactor, 2, ("127.0.0.1", 9), print), (None,) * 4, ("x", 1, 1),
                     ("x", print), ("x", print, None, None, None), (reactor, None), (5,) * 9]
        # Waiting without end is what these are for, and a fork is what the other says has happened.
        waiting = {"run", "poll", "select", "_take_turns_", "_turn", "_wait", "_run", "_forked"}
        def attempt(call, *arguments, **options):
            try:
                with contextlib.redirect_stdout(io.StringIO()):
                    return call(*arguments, **options)
            except (Exception, BaseExceptionGroup, asyncio.CancelledError):
                return None
        def use(it):
            if it is None:
                return
            for member in dir(type(it)):
                if member in waiting or member in ("__class__", "__reduce__", "__dict__", "__del__"):
                    continue
                value = attempt(getattr, it, member)
                if member.startswith("__") and member not in ("__init__", "__setstate__", "__setstate_cython__"):
                    continue
                if isinstance(value, (types.MethodType, types.BuiltinMethodType)) or callable(value):
                    for each in arguments:
                        attempt(value, *each)
                else:
                    for other in junk:
                        attempt(setattr, it, member, other)
                    attempt(delattr, it, member)
            for each in (repr, str, hash, bool, len, iter, list, copy.copy, copy.deepcopy, gc.get_referents):
                attempt(each, it)
            for protocol in range(6):
                data = attempt(pickle.dumps, it, protocol)
                if data:
                    attempt(use_shallow, attempt(pickle.loads, data))
        def use_shallow(it):
            for member in dir(type(it)):
                if member not in waiting and not member.startswith("__"):
                    value = attempt(getattr, it, member)
                    if callable(value):
                        attempt(value)
        # constructed directly, by __new__ with junk, never or twice by __init__
        for each in arguments:
            attempt(use_shallow, attempt(cls, *each))
            attempt(use_shallow, attempt(cls.__new__, cls, *each))
        use(attempt(cls))
        use(attempt(cls.__new__, cls))
        for each in arguments:
            it = attempt(cls.__new__, cls)
            if it is not None:
                attempt(it.__init__, *each)
                attempt(it.__init__, *each)
                use_shallow(it)
        # subclassed badly
        def never(self, *arguments, **options):
            pass
        def raising(self, *arguments, **options):
            raise ZeroDivisionError
        def attributes(self, name):
            raise ZeroDivisionError
        bodies = [{"__init__": never}, {"__init__": raising}, {"__slots__": ("own",)}, {"__getattr__": attributes},
                  {"__eq__": raising, "__hash__": raising}, {"__del__": raising},
                  {"__repr__": raising, "__str__": raising}]
        bodies += [{member: raising} for member in dir(cls) if not member.startswith("__")]
        for body in bodies:
            bad = attempt(type, "Bad", (cls,), body)
            if bad is not None:
                attempt(use_shallow, attempt(bad))
                attempt(use_shallow, attempt(bad.__new__, bad))
        for other in (serversocket.Socket, serversocket.ServerSocket, serversocket.Event, int, dict, Exception):
            bad = attempt(type, "Bad", (cls, other), {})
            if bad is not None:
                attempt(use_shallow, attempt(bad))
                attempt(use_shallow, attempt(bad.__new__, bad))
        gc.collect()
        faulthandler.cancel_dump_traceback_later()
        """,
        name,
    )

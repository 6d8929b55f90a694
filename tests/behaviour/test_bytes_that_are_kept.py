"""Bytes and views that the program has got stay as they are, in whatever way it holds them.

The engine receives into memory that it has handed out, once nobody else holds it any more. From Python 3.14 on a call
may pass on a reference without counting it; then the variable of another frame is what holds the object.
"""

from __future__ import annotations

import sys

import pytest

from .helpers import connection, send_all

SIZE = 20_000  # from 8 KiB on, a read may give the memory itself


class Pause:
    def __await__(self):
        yield


def argument(take, proceed):
    return _twice(take(), proceed)


def _twice(data, proceed):
    return _once(data, proceed)


def _once(data, proceed):
    proceed()
    return data


def variable(take, proceed):
    data = take()
    _once(data, proceed)
    return data


def overwritten_variable(take, proceed):
    data = take()
    return _overwriting(data, proceed, sys._getframe())


def _overwriting(data, proceed, frame):
    frame.f_locals["data"] = None  # from Python 3.13 on, that is the variable itself
    proceed()
    return data


def generator(take, proceed):
    def holding(data):
        yield
        yield data

    held = holding(take())
    next(held)
    proceed()
    return next(held)


def coroutine(take, proceed):
    async def holding(data):
        await Pause()
        return data

    held = holding(take())
    held.send(None)
    proceed()
    with pytest.raises(StopIteration) as done:
        held.send(None)
    return done.value.value


def closure(take, proceed):
    data = take()

    def holding():
        return data

    proceed()
    return holding()


def slice_of_it(take, proceed):
    part = memoryview(take())[100:]
    proceed()
    return part


def temporary(take, proceed):
    return (take(), proceed())[0]


@pytest.mark.parametrize("left", [False, True], ids=["read at once", "left for a while"])
@pytest.mark.parametrize("how", ["read", "view"])
@pytest.mark.parametrize(
    "hold", [argument, variable, overwritten_variable, generator, coroutine, closure, slice_of_it, temporary]
)
def test_it_stays_as_it_is(hold, how, left):
    with connection(reading=False) as it:
        pieces = []

        def fetch():
            pieces.append(getattr(it.socket, how)())
            it.socket.skip()

        def receive(letter):
            send_all(it.reactor, it.peer, letter * SIZE)
            if left:
                it.until(lambda: it.socket.bytes_available == SIZE)
                fetch()
            else:
                it.until(lambda: sum(map(len, pieces)) == SIZE)

        def proceed():
            for letter in (b"b", b"c", b"d"):
                receive(letter)
                pieces.clear()

        if not left:
            it.socket.add_event_listener("socketData", lambda event: fetch())
        receive(b"a")
        del pieces[1:]
        kept = hold(pieces.pop, proceed)
        assert set(kept) == set(b"a")

"""Thousands of clients that connect and say nothing."""

from __future__ import annotations

import contextlib
import errno
from collections import defaultdict

import pytest

from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import connect_to, descriptors, ended, listening, on_linux, open_descriptors, run_until

pytestmark = on_linux

CLIENTS = 5000
PATIENT = 10  # connections without a timeout


@pytest.fixture
def many_descriptors():
    with descriptors(2 * CLIENTS + 500):
        yield


def test_each_of_them_is_ended_and_nothing_is_left(many_descriptors):
    reactor = current_reactor()
    accepted, told = [], defaultdict(list)

    def note(event):
        told[event.target].append(event.type if event.type == "close" else event.errno)

    def accept(event):
        accepted.append(event.socket)
        event.socket.add_event_listener("ioError", note)
        event.socket.add_event_listener("close", note)

    with listening() as server, contextlib.ExitStack() as stack:
        server.add_event_listener("connect", accept)
        before = open_descriptors()
        clients = []
        for number in range(CLIENTS):
            clients.append(stack.enter_context(connect_to("127.0.0.1", server.local_port)))
            run_until(reactor, lambda number=number: len(accepted) > number)
        for it in accepted[PATIENT:]:
            it.idle_timeout = 0.3
        run_until(reactor, lambda: server.connections == PATIENT, 60)
        assert [told.pop(it) for it in accepted[PATIENT:]] == [[errno.ETIMEDOUT, "close"]] * (CLIENTS - PATIENT)
        assert not told
        assert all(ended(client) for client in clients[PATIENT:])
        assert not any(ended(client) for client in clients[:PATIENT])
        for it in accepted[:PATIENT]:
            it.close()
        stack.close()
        run_until(reactor, lambda: open_descriptors() == before)

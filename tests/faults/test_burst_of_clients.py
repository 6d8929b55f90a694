"""Thousands of clients that connect at once."""

from __future__ import annotations

import contextlib
import os
import resource
import socket

import pytest

from serversocket.reactor import current_reactor

from ..behaviour.helpers import ended, listening, on_linux, run_until

pytestmark = on_linux

CLIENTS = 2000


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * CLIENTS + 500
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"needs {wanted} descriptors")
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        yield
        return
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_all_are_served_and_nothing_is_left(many_descriptors):
    reactor = current_reactor()
    served = 0

    def answer(event):
        nonlocal served
        served += 1
        event.socket.write(b"x")

    with listening() as server:
        server.add_event_listener("connect", answer)
        before = len(os.listdir("/proc/self/fd"))
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(socket.socket()) for _ in range(CLIENTS)]
            for client in clients:
                client.setblocking(False)
                client.connect_ex(("127.0.0.1", server.local_port))
            run_until(reactor, lambda: served == CLIENTS, 60)
            for client in clients:
                client.settimeout(10)
                assert client.recv(1) == b"x"
                client.shutdown(socket.SHUT_WR)
            run_until(reactor, lambda: all(ended(client) for client in clients), 60)
        run_until(reactor, lambda: len(os.listdir("/proc/self/fd")) == before)

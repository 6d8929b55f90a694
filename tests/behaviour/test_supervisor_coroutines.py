"""Workers whose `setup` is a coroutine function: each has a loop of asyncio."""

from __future__ import annotations

import importlib.util
import os
import signal

import pytest

from .helpers import PATIENCE, on_linux
from .supervising import answer, gone, refused, serves_who_waits_at_the_end, supervised, until

__all__ = ["supervised"]  # a fixture
pytestmark = on_linux

IMPORTS = """
import asyncio, contextlib
from serversocket import aio
async def tell_and_echo(client):
    await client.send(b"%d\\n" % os.getpid())
    async for data in client:
        await client.send(data)
"""
# The coroutine serves until the end, or sets up what serves.
SERVES = """
async def setup(server):
    async with aio.AsyncServer(server) as clients:
        await clients.serve(tell_and_echo)
"""
ACCEPTS = """
async def setup(server):
    async with aio.AsyncServer(server) as clients, asyncio.TaskGroup() as group:
        async for client in clients:
            group.create_task(tell_and_close(client))
async def tell_and_close(client):
    with contextlib.suppress(serversocket.IOError):  # of a client that did not wait for its turn
        async with client:
            await tell_and_echo(client)
"""
IN_A_TASK = """
async def setup(server):
    async with asyncio.TaskGroup() as group:
        group.create_task(serve(server))
async def serve(server):
    await asyncio.sleep(0.01)
    await aio.AsyncServer(server).serve(tell_and_echo)
"""
LISTENS = """
setup_with_listeners = setup
async def setup(server):
    await asyncio.sleep(0.01)
    setup_with_listeners(server)
    await asyncio.sleep(0.01)
"""
OBJECT = """
class Setup:
    async def __call__(self, server):
        await aio.AsyncServer(server).serve(tell_and_echo)
setup = Setup()
"""
STYLES = {"serves": SERVES, "accepts": ACCEPTS, "in a task": IN_A_TASK, "listens": LISTENS, "object": OBJECT}
RUN = 'run(Supervisor(setup, 0, "127.0.0.1", workers=2, grace=1000))'


@pytest.fixture(params=STYLES)
def style(request):
    return IMPORTS + STYLES[request.param]


def test_it_serves_restarts_and_ends_without_losing_a_connection(supervised, style):
    it = supervised(style + RUN)
    old = set(it.all_started())
    with it.connect() as client:
        pid = client.pid
        assert pid in old
        it.send(signal.SIGHUP)
        new = {it.started(1), it.started(2)}
        (other,) = old - {pid}
        it.tells(rf"worker \d \(pid {other}\) ended: exit status 0")
        until(lambda: {answer(it.port) for _ in range(10)} <= new, "nobody else accepts")
        assert client.echoes(bytes(1 << 20))
    it.tells(rf"worker \d \(pid {pid}\) ended: exit status 0")
    with it.connect() as client:
        pid = client.pid
        it.send(signal.SIGTERM)
        until(lambda: refused(it.port), "nobody accepts")
        assert client.echoes(bytes(1 << 20))
        assert not gone(pid)
    assert it.ends(None) == 0
    assert f"(pid {pid}) ended: exit status 0\n" in it.log
    assert "failed" not in it.log


def test_who_waits_at_the_end_is_served_before_the_queue_is_closed(supervised, style):
    serves_who_waits_at_the_end(supervised(style + RUN.replace("workers=2", "workers=1")))


def test_no_connection_is_lost_while_workers_are_replaced(supervised):
    it = supervised(IMPORTS + SERVES + RUN)
    old = set(it.all_started())
    seen = []
    while len(seen) < 100 or not old.isdisjoint(seen[-50:]):
        if len(seen) == 30:
            it.send(signal.SIGHUP)
        with it.connect() as client:
            seen.append(client.pid)
            assert client.echoes(b"%d" % len(seen))
        assert len(seen) < 20_000
    assert len(set(seen)) == 4
    assert it.ends() == 0


# ------------------------------------------------------------------------------------------------------- ready


def test_it_is_ready_when_it_listens_for_clients_and_not_before(supervised, tmp_path):
    it = supervised(
        IMPORTS
        + """
async def setup(server):
    print("setting up", os.getpid(), flush=True)
    while not os.path.exists(sys.argv[1]):
        await asyncio.sleep(0.01)
    await aio.AsyncServer(server).serve(tell_and_echo)
"""
        + RUN.replace("workers=2", "workers=1"),
        str(tmp_path / "ready"),
    )
    it.line("setting up")
    client = it.connect()
    assert answer(it.port) is None
    assert "started" not in it.log
    (tmp_path / "ready").touch()
    assert client.pid == it.started()
    client.close()
    (tmp_path / "ready").unlink()
    it.send(signal.SIGHUP)
    it.line("setting up")
    assert answer(it.port, PATIENCE) == it.workers()[0]  # the old one goes on
    (tmp_path / "ready").touch()
    it.started()
    assert it.ends() == 0


def test_it_is_ready_when_it_has_returned_if_nobody_listens(supervised):
    it = supervised(
        """
        async def setup(server):
            pass
        run(Supervisor(setup, 0, "127.0.0.1", workers=2))
        """
    )
    it.all_started()
    assert it.ends() == 0


def test_one_that_is_not_ready_in_time_is_killed(supervised):
    it = supervised(
        """
        import asyncio
        async def setup(server):
            await asyncio.sleep(1000)
        run(Supervisor(setup, 0, "127.0.0.1", workers=1, start_timeout=0.3, grace=0))
        """
    )
    it.line(r"worker 1 \(pid \d+\) is killed: it was not ready within 0.3 seconds; the next one starts in 0.1 s")
    assert it.ends() == 0


# --------------------------------------------------------------------------------------------------------- end


@pytest.mark.parametrize("kind", ["def", "async def"])
def test_what_it_returns_is_called_and_awaited_at_the_end(supervised, kind):
    it = supervised(
        f"""
        import asyncio
        async def setup(server):
            server.add_event_listener("connect", connected)
            task = asyncio.create_task(asyncio.sleep(1000))
            {kind} farewell():
                assert not server.bound
                {"await asyncio.sleep(0.01)" if kind == "async def" else "pass"}
                task.cancel()
                print("farewell", flush=True)
            return farewell
        run(Supervisor(setup, 0, "127.0.0.1", workers=1, grace=1000))
        """
    )
    pid = it.started()
    with it.connect() as client:
        assert client.pid == pid
        os.kill(pid, signal.SIGTERM)  # one worker alone
        it.line("farewell")
        assert client.echoes()
    it.tells(rf"worker 1 \(pid {pid}\) died: exit status 0")
    it.started()
    assert it.ends() == 0
    assert it.log.count("farewell") == 2


def test_tasks_that_are_under_way_are_waited_for_where_it_has_returned(supervised):
    it = supervised(
        IMPORTS
        + """
async def setup(server):
    clients = aio.AsyncServer(server)
    asyncio.create_task(clients.serve(answer_in_the_end)).add_done_callback(print)
async def answer_in_the_end(client):
    await client.send(b"%d\\n" % os.getpid())
    try:
        data = await client.receive()
        await asyncio.sleep(0.2)
        await client.send(data)
    except BaseException as error:
        print("not answered", error, flush=True)
"""
        + RUN
    )
    it.all_started()
    with it.connect() as client:
        pid = client.pid
        client.sendall(b"question")
        it.send(signal.SIGTERM)
        it.line("the workers are told to end")
        assert client.recv(100) == b"question"
    assert it.ends(None) == 0
    assert f"(pid {pid}) ended: exit status 0\n" in it.log
    assert "not answered" not in it.log


def test_tasks_that_it_leaves_behind_are_cancelled(supervised):
    it = supervised(
        IMPORTS
        + """
async def setup(server):
    background = asyncio.create_task(tick())
    async with aio.AsyncServer(server) as clients:
        await clients.serve(tell_and_echo)
async def tick():
    try:
        while True:
            await asyncio.sleep(0.01)
    finally:
        print("cancelled", flush=True)
"""
        + RUN
    )
    it.all_started()
    assert it.ends() == 0
    assert it.log.count("cancelled") == 2


@pytest.mark.parametrize(
    "serving",
    [
        """
    async with aio.AsyncServer(server) as clients:
        loop.add_signal_handler(signal.SIGUSR1, clients.close)
        await clients.serve(tell_and_echo)
""",
        """
    loop.add_signal_handler(signal.SIGUSR1, server.close)
    server.addEventListener("connect", connected)
""",
    ],
    ids=["serves", "listens"],
)
def test_a_worker_whose_program_closes_the_server_ends(supervised, serving):
    it = supervised(
        IMPORTS
        + f"""
async def setup(server):
    loop = asyncio.get_running_loop()
    {serving.strip()}
run(Supervisor(setup, 0, "127.0.0.1", workers=1))
"""
    )
    pid = it.started()
    with it.connect() as client:
        assert client.pid == pid
        os.kill(pid, signal.SIGUSR1)
        assert client.echoes()
    it.line(rf"worker 1 \(pid {pid}\) died: exit status 0")
    it.started()
    assert it.ends() == 0


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_it_raises_ends_the_worker(supervised, when):
    it = supervised(
        IMPORTS
        + f"""
async def setup(server):
    if {when == "after"}:
        clients = aio.AsyncServer(server)
        client = await clients.accept()
    await asyncio.sleep(0)
    raise ValueError("not today")
run(Supervisor(setup, 0, "127.0.0.1", workers=1))
"""
    )
    if when == "after":
        it.started()
        it.connect().close()
    it.line(r"a worker \(pid \d+\) failed")
    it.line("ValueError: not today")
    it.line(r"worker 1 \(pid \d+\) died: exit status 1; the next one starts in 0.1 s")
    assert it.ends() == 0


@pytest.mark.parametrize(
    ("setup", "said"),
    [
        ("lambda server: farewell()", "setup returned a coroutine, which is not awaited; pass the `async def`"),
        ("lambda server: farewell", "setup returned the coroutine function <function farewell at .*>, which a plain"),
        ("wrong", r"the return value of setup must be callable or None, not 5 \(int\)"),
    ],
)
def test_coroutines_that_nobody_would_await_are_refused(supervised, setup, said):
    it = supervised(
        f"""
        async def farewell():
            pass
        async def wrong(server):
            return 5
        run(Supervisor({setup}, 0, "127.0.0.1", workers=1))
        """
    )
    it.line(f"TypeError: {said}")
    it.line(r"worker 1 \(pid \d+\) died: exit status 1")
    assert it.ends() == 0


# -------------------------------------------------------------------------------------------------------- loops


def test_each_worker_has_a_loop_and_its_reactor(supervised):
    it = supervised(
        IMPORTS
        + """
async def setup(server):
    assert server.listening and isinstance(server, serversocket.ServerSocket)
    assert server.reactor is serversocket.loop.reactor.current_reactor()
    assert server.reactor is not before
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
    with serversocket.ServerSocket() as other:
        assert other.reactor is server.reactor
    await aio.AsyncServer(server).serve(tell_and_echo)
async def main():
    global before
    before = serversocket.loop.reactor.current_reactor()
    run(Supervisor(setup, 0, "127.0.0.1", workers=2))  # in a coroutine too
asyncio.run(main())
"""
    )
    pids = it.all_started()
    with it.connect() as client:
        assert client.pid in pids
    assert it.ends() == 0


def test_asyncio_is_imported_in_such_workers_only(supervised):
    it = supervised(
        """
        def setup(server):
            print("asyncio" in sys.modules, flush=True)
        assert "asyncio" not in sys.modules
        run(Supervisor(setup, 0, "127.0.0.1", workers=1))
        assert "asyncio" not in sys.modules
        """
    )
    it.line("False")
    it.started()
    assert it.ends() == 0


@pytest.mark.skipif(importlib.util.find_spec("uvloop") is None, reason="needs uvloop")
def test_uvloop(supervised, style):
    it = supervised(
        style
        + """
import uvloop
setup_in_loop = setup
async def setup(server):
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)
    return await setup_in_loop(server)
run(Supervisor(setup, 0, "127.0.0.1", workers=2, grace=1000, watchdog=1000, loop_factory=uvloop.new_event_loop))
"""
    )
    old = set(it.all_started())
    with it.connect() as client:
        pid = client.pid
        it.send(signal.SIGHUP)
        assert not {it.started(1), it.started(2)} & old
        assert client.echoes(bytes(1 << 20))
    it.tells(rf"worker \d \(pid {pid}\) ended: exit status 0")
    assert it.ends() == 0

"""A task of asyncio that waits for an event is stepped from it, and in every other respect waits as for a future."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import weakref

import pytest

from serversocket import aio
from serversocket.engine import LoopWaiter
from serversocket.loop.reactor import current_reactor

from ..behaviour.helpers import PATIENCE


def make():
    return LoopWaiter(asyncio.get_running_loop(), asyncio.current_task, asyncio._get_running_loop)


def asynchronous(test):
    def run():
        async def bounded():
            async with asyncio.timeout(PATIENCE):
                await test()

        asyncio.run(bounded())

    run.__name__ = test.__name__
    return run


async def rounds(count):
    for _ in range(count):
        await asyncio.sleep(0)


@asynchronous
async def test_a_callback_of_the_loop_steps_the_task():
    waiter, seen, at_once = make(), [], []

    async def wait():
        seen.append(await waiter)

    task = asyncio.create_task(wait())
    await rounds(2)

    def wake():
        waiter.set_result("woken")
        at_once.extend(seen)

    asyncio.get_running_loop().call_soon(wake)
    await task
    assert at_once == ["woken"]


@asynchronous
async def test_another_task_has_the_loop_step_it():
    waiter, seen = make(), []

    async def wait():
        seen.append(await waiter)
        assert asyncio.current_task() is task

    task = asyncio.create_task(wait())
    await rounds(2)
    waiter.set_result("woken")
    assert seen == []
    assert waiter.done()
    await task
    assert seen == ["woken"]


@asynchronous
async def test_a_result_that_is_there_is_not_waited_for():
    waiter = make()
    waiter.set_result(5)
    assert await waiter == 5
    waiter = make()
    waiter.set_result(None)
    assert await waiter is None


@asynchronous
async def test_an_exception():
    for early in (True, False):
        waiter = make()
        if early:
            waiter.set_exception(ValueError("refused"))
        else:
            asyncio.get_running_loop().call_soon(waiter.set_exception, ValueError("refused"))
        with pytest.raises(ValueError, match="refused"):
            await waiter


@asynchronous
async def test_cancelling_the_task():
    waiter = make()

    async def wait():
        try:
            await waiter
        except asyncio.CancelledError as error:
            return error.args

    task = asyncio.create_task(wait())
    await rounds(2)
    task.cancel("enough")
    assert waiter.done()
    assert not waiter.cancel()
    assert await task == ("enough",)


@asynchronous
async def test_cancelled_after_it_was_woken():
    waiter, seen = make(), []

    async def wait():
        seen.append(await waiter)
        await asyncio.sleep(PATIENCE)

    task = asyncio.create_task(wait())
    await rounds(2)
    waiter.set_result("woken")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@asynchronous
async def test_cancelled_before_it_waits():
    waiter = make()

    async def wait():
        await waiter

    task = asyncio.create_task(wait())
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not waiter.done()
    waiter.set_result(None)


@asynchronous
async def test_timeouts_and_other_wrappers():
    waiter = make()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await waiter
    waiter = make()

    async def wait():
        return await waiter

    asyncio.get_running_loop().call_later(0.01, waiter.set_result, 7)
    assert await asyncio.wait_for(wait(), PATIENCE) == 7
    waiters = [make(), make()]

    async def each(waiter):
        return await waiter

    for number, waiter in enumerate(waiters):
        asyncio.get_running_loop().call_soon(waiter.set_result, number)
    assert await asyncio.gather(*map(each, waiters)) == [0, 1]


@asynchronous
async def test_the_context_is_the_tasks():
    variable = contextvars.ContextVar("variable", default="outside")
    waiter, seen = make(), []

    async def wait():
        variable.set("inside")
        await waiter
        seen.append(variable.get())

    task = asyncio.create_task(wait())
    await rounds(2)
    asyncio.get_running_loop().call_soon(waiter.set_result, None)
    await task
    assert seen == ["inside"]
    assert variable.get() == "outside"


@asynchronous
async def test_what_the_task_raises_stays_in_the_task():
    waiter = make()

    async def wait():
        await waiter
        raise ValueError("its own")

    task = asyncio.create_task(wait())
    await rounds(2)
    went_on = []

    def wake():
        waiter.set_result(None)
        went_on.append(True)

    asyncio.get_running_loop().call_soon(wake)
    with pytest.raises(ValueError, match="its own"):
        await task
    assert went_on


def waiting_in(loop, waiter, seen):
    """A task of a loop that waits, and then needs the loop to run."""

    async def wait():
        waiter.append(make())
        seen.append(await waiter[0])
        await asyncio.sleep(0)
        assert asyncio.get_running_loop() is loop
        seen.append("went on")

    task = loop.create_task(wait())
    loop.run_until_complete(rounds(2))
    return task


def test_a_program_whose_loop_does_not_run_has_it_step_the_task():
    with asyncio.Runner() as runner:
        loop, waiter, seen = runner.get_loop(), [], []
        task = waiting_in(loop, waiter, seen)
        waiter[0].set_result("woken")
        assert seen == []
        loop.run_until_complete(task)
        assert seen == ["woken", "went on"]


def test_another_loop_has_it_step_the_task():
    with asyncio.Runner() as runner, asyncio.Runner() as another:
        loop, waiter, seen = runner.get_loop(), [], []
        task = waiting_in(loop, waiter, seen)

        async def wake():
            another.get_loop().call_soon(waiter[0].set_result, "woken")
            await rounds(2)

        another.run(wake())
        assert seen == []
        loop.run_until_complete(task)
        assert seen == ["woken", "went on"]


def test_a_loop_that_is_closed_steps_nothing():
    loop, waiter, seen = asyncio.new_event_loop(), [], []
    task = waiting_in(loop, waiter, seen)
    loop.close()
    waiter[0].set_result("woken")
    assert seen == []
    task._log_destroy_pending = False


@asynchronous
async def test_who_wakes_it_in_the_tasks_own_context_has_the_loop_step_it():
    waiter, seen, context = make(), [], contextvars.copy_context()

    async def wait():
        seen.append(await waiter)

    task = asyncio.create_task(wait(), context=context)
    await rounds(2)
    asyncio.get_running_loop().call_soon(waiter.set_result, "woken", context=context)
    await task
    assert seen == ["woken"]


@asynchronous
async def test_a_task_that_wakes_another_one_from_its_step():
    first, second, seen = make(), make(), []

    async def wait(waiter, then=None):
        await waiter
        seen.append(asyncio.current_task())
        if then is not None:
            then.set_result(None)
            assert len(seen) == 1  # the other one is not stepped inside this one

    tasks = [asyncio.create_task(wait(first, second)), asyncio.create_task(wait(second))]
    await rounds(2)
    asyncio.get_running_loop().call_soon(first.set_result, None)
    await asyncio.gather(*tasks)
    assert seen == tasks


@asynchronous
async def test_nothing_is_kept_alive():
    class Kept:
        pass

    kept = Kept()
    gone = weakref.ref(kept)
    waiter = make()

    async def wait(kept):
        await waiter

    task = asyncio.create_task(wait(kept))
    await rounds(2)
    asyncio.get_running_loop().call_soon(waiter.set_result, None)
    await task
    del kept, task
    gc.collect()
    assert gone() is None


@asynchronous
async def test_junk():
    with pytest.raises(TypeError):
        LoopWaiter()
    waiter = make()
    with pytest.raises(TypeError):
        waiter.set_exception("no exception")
        await waiter
    with pytest.raises(TypeError):
        make().add_done_callback(print)


# ---- loops


async def exchange():
    async with aio.listen(0, "127.0.0.1") as server, await aio.connect("127.0.0.1", server.local_port) as client:
        accepted = await server.accept()
        await client.send(b"x")
        assert await accepted.receive() == b"x"
        accepted.close()
        assert await client.receive() == b""


def test_a_task_that_is_stepped_is_inside_the_turn():
    async def main():
        async with aio.listen(0, "127.0.0.1") as server, await aio.connect("127.0.0.1", server.local_port) as client:
            accepted = await server.accept()
            await client.send(b"x")
            assert await accepted.receive() == b"x"
            reactor = current_reactor()
            for call in (reactor.close, lambda: reactor.poll(0)):
                with pytest.raises(RuntimeError, match="running"):
                    call()
            await asyncio.sleep(0)
            reactor.poll(0)
            reactor.close()
            assert not accepted.connected

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks are eager from 3.12 on")
def test_eager_tasks():
    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        await exchange()

        async def echo(client):
            async for chunk in client:
                await client.send(chunk)

        async with aio.listen(0, "127.0.0.1") as server:
            serving = asyncio.create_task(server.serve(echo))
            async with await aio.connect("127.0.0.1", server.local_port) as client:
                await client.send(b"hello")
                assert await client.receive_exactly(5) == b"hello"
            server.close()
            await serving

    asyncio.run(main())


@pytest.mark.skipif(sys.version_info < (3, 12), reason="tasks are eager from 3.12 on")
def test_eager_tasks_that_are_done_are_forgotten():
    async def main():
        asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)
        tasks = weakref.WeakSet()

        async def handler(client):
            tasks.add(asyncio.current_task())
            await client.send(b"hello")

        async with aio.listen(0, "127.0.0.1") as server:
            serving = asyncio.create_task(server.serve(handler))
            for _ in range(20):
                async with await aio.connect("127.0.0.1", server.local_port) as client:
                    assert await client.receive_exactly(5) == b"hello"
            gc.collect()
            assert len(tasks) <= 1
            server.close()
            await serving

    asyncio.run(main())


def test_a_flood_and_the_hosts_own_tasks_share_the_loop():
    async def main():
        served = ticks = 0

        async def count(client):
            nonlocal served
            async for chunk in client:
                served += len(chunk)
                await client.send(chunk)

        async def flood(port):
            async with await aio.connect("127.0.0.1", port) as client:
                while True:
                    await client.send(bytes(65536))
                    await client.receive()

        async def tick():
            nonlocal ticks
            while True:
                await asyncio.sleep(0)
                ticks += 1

        async with aio.listen(0, "127.0.0.1") as server:
            tasks = [asyncio.create_task(server.serve(count)), asyncio.create_task(tick())]
            tasks += [asyncio.create_task(flood(server.local_port)) for _ in range(10)]
            while served < 50 << 20:
                before = ticks, served
                await asyncio.sleep(0.05)
                assert ticks > before[0]
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)

    asyncio.run(main())

"""Two connections made one: each stream arrives whole, or its receiver sees a reset."""

from __future__ import annotations

import errno
import socket
from contextlib import asynccontextmanager, suppress

import anyio
import pytest

import serversocket
from serversocket import Socket, aio

from .coroutines import RESET, connection, in_a_thread, listen, pair, plain_client, received_by, until

WHOLE = bytes(range(251)) * 40_000  # 10 MB: more than the system takes of what nobody fetches
ENDS = ("source", "target")
BROKEN = (errno.ECONNRESET, errno.EPIPE)  # the latter where the stream of the peer had ended before


class Proxied:
    """Two peers, and the connections to them that a task pipes; `result` is what came of that."""

    def __init__(self, peers, ends):
        self.peers = dict(zip(ENDS, peers, strict=True))
        self.source, self.target = ends
        self.ends = dict(zip(ENDS, ends, strict=True))
        self.result = None
        self.scope = anyio.CancelScope()

    async def run(self):
        with self.scope:
            try:
                self.result = await aio.pipe(self.source, self.target)
            except serversocket.IOError as error:
                self.result = error

    def keep_all(self, end):
        """Has one end take whatever it is given, so that the other one's whole stream waits there."""
        self.ends[end].socket.high_water_mark = 1 << 30


@asynccontextmanager
async def proxied():
    async with listen() as server:
        first, source = await pair(server)
        second, target = await pair(server)
    it = Proxied((first, second), (source, target))
    async with first, second, anyio.create_task_group() as tasks:
        tasks.start_soon(it.run)
        yield it
        await until(lambda: it.result or it.scope.cancelled_caught)
    assert not source.connected
    assert not target.connected


async def stream_of(peer):
    """What a peer receives, and the error that it ends with; None where it ends as a stream does."""
    received = []
    try:
        async for chunk in peer:
            received.append(chunk)  # noqa: PERF401 - what came before an error counts
    except serversocket.IOError as error:
        return b"".join(received), error.errno
    return b"".join(received), None


def other(end):
    return ENDS[1 - ENDS.index(end)]


# ---- both directions


def test_a_question_and_its_answer(run):
    async def main():
        async with proxied() as it:
            client, server = it.peers.values()
            await client.send(b"question")
            await client.send_eof()
            assert await stream_of(server) == (b"question", None)
            await server.send(b"the answer")
            await server.send_eof()
            assert await stream_of(client) == (b"the answer", None)
        assert it.result == (8, 10)
        assert it.result.to_target == it.result.toTarget == 8
        assert it.result.to_source == it.result.toSource == 10

    run(main)


@pytest.mark.parametrize("first", ENDS)
def test_a_peer_that_ends_first_still_receives(run, first):
    async def main():
        async with proxied() as it:
            early, late = it.peers[first], it.peers[other(first)]
            await early.send_eof()
            assert await late.receive() == b""
            for _ in range(5):
                await late.send(b"x" * 1000)
                assert await early.receive_exactly(1000) == b"x" * 1000
            await late.send_eof()
            assert await early.receive() == b""
        assert sorted(it.result) == [0, 5000]

    run(main)


def test_much_both_ways_at_once(run):
    async def main():
        async with proxied() as it:
            streams = {}

            async def receive(end):
                streams[end] = await stream_of(it.peers[end])

            async def send(end):
                await it.peers[end].send(end.encode() + WHOLE)
                await it.peers[end].send_eof()

            async with anyio.create_task_group() as tasks:
                for end in ENDS:
                    tasks.start_soon(send, end)
                    tasks.start_soon(receive, end)
            for end in ENDS:
                assert streams[end] == (other(end).encode() + WHOLE, None)
        assert it.result == (6 + len(WHOLE),) * 2

    run(main)


@pytest.mark.parametrize("slow", ENDS)
def test_a_peer_that_does_not_keep_up_makes_the_other_one_wait(run, slow):
    async def main():
        async with proxied() as it:
            fast = it.peers[other(slow)]
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(fast.send, WHOLE)
                await until(lambda: it.ends[slow].socket.congested and it.ends[other(slow)].socket.paused)
                assert it.ends[slow].socket.bytes_pending < 1 << 20
                assert it.ends[other(slow)].socket.bytes_available < 1 << 20
                assert await it.peers[slow].receive_exactly(len(WHOLE)) == WHOLE
            for peer in it.peers.values():
                await peer.send_eof()

    run(main)


def test_many_pipes_at_once(run):
    async def main():
        counts = []

        async def one(number):
            async with proxied() as it:
                client, server = it.peers.values()
                await client.send(b"x" * number)
                await client.send_eof()
                async for chunk in server:
                    await server.send(chunk)
                await server.send_eof()
                assert await stream_of(client) == (b"x" * number, None)
            counts.append(it.result)

        async with anyio.create_task_group() as tasks:
            for number in range(30):
                tasks.start_soon(one, number)
        assert sorted(counts) == [(number, number) for number in range(30)]

    run(main)


# ---- what breaks


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("data", [b"", b"a part", WHOLE], ids=len)
def test_a_reset_is_passed_on(run, end, data):
    """With much on its way, and with nothing; the other peer must not take what it has for the whole."""

    async def main():
        async with proxied() as it:
            breaking, other_peer = it.peers[end], it.peers[other(end)]
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(swallow, breaking.send, data)
                if data:
                    await until(lambda: it.ends[other(end)].socket.bytes_pending or other_peer.socket.bytes_available)
                breaking.abort()
            received, failure = await stream_of(other_peer)
            assert failure == errno.ECONNRESET
            assert data.startswith(received)
        assert it.result.errno == errno.ECONNRESET

    run(main)


async def swallow(call, *arguments):
    """Calls what may break."""
    with suppress(serversocket.IOError):
        await call(*arguments)


@pytest.mark.parametrize("end", ENDS)
def test_the_whole_stream_of_a_peer_that_breaks_later_arrives(run, end):
    async def main():
        async with proxied() as it:
            it.keep_all(other(end))
            breaking, other_peer = it.peers[end], it.peers[other(end)]
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(breaking.send, WHOLE)
            await breaking.send_eof()
            await until(lambda: it.ends[other(end)].socket.output_ended)
            assert it.ends[other(end)].socket.bytes_pending
            breaking.abort()
            await until(lambda: it.result)
            assert it.result.errno in BROKEN
            assert await stream_of(other_peer) == (WHOLE, None)

    run(main)


@pytest.mark.parametrize("end", ENDS)
def test_a_peer_that_breaks_before_it_has_fetched_everything(run, end):
    """Both streams have ended, and one is not out yet."""

    async def main():
        async with proxied() as it:
            it.keep_all(end)
            breaking, other_peer = it.peers[end], it.peers[other(end)]
            await breaking.send_eof()
            await other_peer.send(WHOLE)
            await other_peer.send_eof()
            assert await other_peer.receive() == b""
            await until(lambda: it.ends[end].socket.output_ended)
            assert it.ends[end].socket.bytes_pending
            assert it.result is None
            breaking.abort()
        assert it.result.errno in BROKEN

    run(main)


@pytest.mark.parametrize("end", ENDS)
def test_it_returns_when_the_system_has_taken_everything(run, end):
    async def main():
        async with proxied() as it:
            it.keep_all(end)
            slow, other_peer = it.peers[end], it.peers[other(end)]
            await slow.send_eof()
            await other_peer.send(WHOLE)
            await other_peer.send_eof()
            await until(lambda: it.ends[end].socket.output_ended)
            await anyio.wait_all_tasks_blocked()
            assert it.result is None
            assert await stream_of(slow) == (WHOLE, None)
        assert sorted(it.result) == [0, len(WHOLE)]

    run(main)


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("how", ["close", "abort"])
def test_an_end_that_another_task_closes(run, end, how):
    async def main():
        async with proxied() as it:
            peer = it.peers[end]
            await peer.send(b"a part")
            assert await it.peers[other(end)].receive_exactly(6) == b"a part"
            getattr(it.ends[end], how)()
            assert await stream_of(it.peers[other(end)]) == (b"", errno.ECONNRESET)
        assert "closed on this side" in str(it.result)

    run(main)


@pytest.mark.parametrize("data", [b"a part", WHOLE], ids=len)
def test_cancelled(run, data):
    async def main():
        async with proxied() as it:
            streams = {}
            async with anyio.create_task_group() as tasks:
                for end in ENDS:
                    tasks.start_soon(swallow, it.peers[end].send, data)
                for end in ENDS:
                    await until(lambda: it.ends[end].socket.bytes_pending or it.peers[end].socket.bytes_available)  # noqa: B023
                it.scope.cancel()
                for end in ENDS:
                    received, streams[end] = await stream_of(it.peers[end])
                    assert data.startswith(received)
            assert streams == dict.fromkeys(ENDS, errno.ECONNRESET)
        assert it.scope.cancelled_caught

    run(main)


@pytest.mark.parametrize("end", ENDS)
def test_cancelled_behind_the_end_of_one_stream(run, end):
    """It is whole, and arrives so; the other one does not."""

    async def main():
        async with proxied() as it:
            it.keep_all(other(end))
            ended, going_on = it.peers[end], it.peers[other(end)]
            await ended.send(WHOLE)
            await ended.send_eof()
            await until(lambda: it.ends[other(end)].socket.output_ended)
            assert it.ends[other(end)].socket.bytes_pending
            it.scope.cancel()
            assert await stream_of(going_on) == (WHOLE, None)
            assert await stream_of(ended) == (b"", errno.ECONNRESET)

    run(main)


def test_cancelled_before_its_first_step(run):
    async def main():
        async with listen() as server:
            first, source = await pair(server)
            second, target = await pair(server)
            async with first, second:
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await aio.pipe(source, target)
                assert scope.cancelled_caught
                for peer in (first, second):
                    assert await stream_of(peer) == (b"", errno.ECONNRESET)

    run(main)


def test_a_server_that_is_cancelled_resets_what_it_pipes(run):
    async def main():
        async with listen() as upstream, listen() as server:

            async def proxy(client):
                await aio.pipe(client, await aio.connect("127.0.0.1", upstream.local_port))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(server.serve, proxy)
                client = await aio.connect("127.0.0.1", server.local_port)
                async with client, await upstream.accept() as behind:
                    await behind.send(b"a part")
                    assert await client.receive_exactly(6) == b"a part"
                    tasks.cancel_scope.cancel()
                    with anyio.CancelScope(shield=True):
                        assert await stream_of(client) == (b"", errno.ECONNRESET)
                        assert await stream_of(behind) == (b"", errno.ECONNRESET)

    run(main)


def test_peers_that_are_plain_sockets_and_leave_as_those_do(run):
    async def main():
        async with listen() as server:
            first, second = plain_client(server), plain_client(server)
            source, target = await server.accept(), await server.accept()
            with first, second:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(swallow, aio.pipe, source, target)
                    first.send(b"all of it")
                    first.shutdown(socket.SHUT_WR)
                    assert await received_by(second) == b"all of it"
                    second.send(b"a part")
                    await until(lambda: has_input(first))
                    second.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                    second.close()
                    with pytest.raises(ConnectionResetError):
                        await received_by(first)

    run(main)


def has_input(peer):
    try:
        return peer.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return b""


# ---- what is refused


def test_what_cannot_be_piped(run):
    async def main():
        async with connection() as (client, accepted):
            for arguments, wrong in (((client, Socket()), "target"), ((None, client), "source")):
                with pytest.raises(TypeError, match=f"{wrong} must be an AsyncSocket"):
                    await aio.pipe(*arguments)
            with pytest.raises(serversocket.ArgumentError, match="source and target are the same connection"):
                await aio.pipe(client, client)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(accepted.receive)
                await anyio.wait_all_tasks_blocked()
                with pytest.raises(RuntimeError, match=r"pipe\(\): another task is receiving"):
                    await aio.pipe(client, accepted)
                await client.send(b"unharmed")
            errors = []

            async def elsewhere():
                try:
                    await aio.pipe(client, accepted)
                except RuntimeError as error:
                    errors.append(str(error))

            in_a_thread(lambda: anyio.run(elsewhere))
            assert "thread" in errors[0]
            await accepted.send(b"unharmed")
            assert await client.receive() == b"unharmed"
            accepted.close()
            with pytest.raises(serversocket.IOError, match="closed on this side"):
                await aio.pipe(client, accepted)
            assert client.connected

    run(main)

"""Gives and takes files. Run it with ``file_server.py [FOLDER]``."""

import asyncio
import hashlib
import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import serversocket

FOLDER = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
PIECE = 256 * 1024
LARGEST = 10 << 30


def path_of(name):
    """Names stay in the folder: no directories, nothing hidden."""
    if "/" in name or "\\" in name or "\0" in name or name.startswith("."):
        raise ValueError(f"bad name: {name!r}")
    return FOLDER / name


async def get(client, name):
    try:
        file = await asyncio.to_thread(path_of(name).open, "rb")
    except OSError:
        await client.send(b"-1\n")
        return
    with file:
        size = os.fstat(file.fileno()).st_size
        await client.send(b"%d\n" % size)
        while size and (piece := await asyncio.to_thread(file.read, min(PIECE, size))):
            await client.send(piece)
            size -= len(piece)
    if size:
        client.abort()  # the file became shorter meanwhile: the peer must not take this for all of it


async def put(client, name, size):
    target = path_of(name)
    if not 0 <= size <= LARGEST:
        raise ValueError(f"bad size: {size}")
    digest = hashlib.sha256()
    with TemporaryDirectory(prefix=".incoming-", dir=FOLDER) as folder:
        incoming = Path(folder, "file")
        with await asyncio.to_thread(incoming.open, "wb") as file:
            while size:
                piece = await client.receive(min(PIECE, size))
                if not piece:
                    return  # the peer has ended too early
                digest.update(piece)
                await asyncio.to_thread(file.write, piece)
                size -= len(piece)
        os.replace(incoming, target)  # all at once: no reader sees half a file
    await client.send(digest.hexdigest().encode() + b"\n")


async def handle(client):
    client.socket.idle_timeout = 60
    try:
        match (await client.receive_until(b"\n", 300)).decode().split():
            case ["GET", name]:
                await get(client, name)
            case ["PUT", name, size]:
                await put(client, name, int(size))
    except ValueError as error:  # a bad name, number or line
        print(error)
        client.abort()


async def main():
    async with serversocket.aio.listen(8000, "127.0.0.1", max_connections=100) as server:
        await server.serve(handle)


if __name__ == "__main__":
    asyncio.run(main())

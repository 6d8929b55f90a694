"""Collects readings such as ``boiler 71.5`` into SQLite. Run it with ``telemetry.py [DATABASE]``; SIGTERM ends it."""

import asyncio
import signal
import sqlite3
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import serversocket

LONGEST_LINE = 256
MOST_WAITING = 10_000  # readings that are received and not stored yet


def open_database():
    global database
    database = sqlite3.connect(sys.argv[1] if len(sys.argv) > 1 else "telemetry.db")
    database.execute("CREATE TABLE IF NOT EXISTS readings (time REAL, device TEXT, value REAL)")


def store(batch):
    with database:  # one transaction
        database.executemany("INSERT INTO readings VALUES (?, ?, ?)", batch)


async def write_all(readings):
    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(max_workers=1, initializer=open_database) as thread:
        while (reading := await readings.get()) is not None:
            batch = [reading]
            while not readings.empty() and (reading := readings.get_nowait()) is not None:
                batch.append(reading)
            await loop.run_in_executor(thread, store, batch)
            if reading is None:
                return


async def main():
    readings = asyncio.Queue(MOST_WAITING)

    async def collect(client):
        client.socket.idle_timeout = 300
        try:
            while True:
                line = await client.receive_until(b"\n", LONGEST_LINE)
                try:
                    device, value = line.decode().split()
                    reading = time.time(), device, float(value)
                except ValueError:
                    await client.send(b"error: want DEVICE VALUE\n")
                else:
                    await readings.put(reading)
                    await client.send(b"ok\n")
        except serversocket.RangeError:
            await client.send(b"error: the line is too long\n")

    async with serversocket.aio.listen(8000, "127.0.0.1", max_connections=1000) as server:
        writing = asyncio.create_task(write_all(readings))
        clients = asyncio.create_task(server.serve(collect))
        server.server.reactor.on_signal(signal.SIGTERM, clients.cancel)
        await asyncio.wait([clients, writing], return_when=asyncio.FIRST_COMPLETED)
        if writing.done():
            writing.result()  # the database failed: raise what it raised
        await readings.put(None)
        await writing


if __name__ == "__main__":
    asyncio.run(main())

"""A client: sends a text, prints the answer, and ends when as much has come back, or the server closes.

Run it with ``async_client.py HOST PORT TEXT``.
"""

import asyncio
import sys

import serversocket


async def main():
    host, port, text = sys.argv[1:]
    message = text.encode()
    answer = bytearray()
    try:
        async with asyncio.timeout(10):
            socket = await serversocket.aio.connect(host, int(port))
        async with socket:
            await socket.send(message)
            async for chunk in socket:
                answer += chunk
                if len(answer) >= len(message):
                    break
    except OSError as error:
        return str(error)
    print(answer.decode(errors="replace"))
    return 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))

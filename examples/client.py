"""A client: sends a text, prints the answer, and ends when as much has come back, or the server closes.

Run it with ``client.py HOST PORT TEXT``.
"""

import sys

import serversocket


def main():
    host, port, text = sys.argv[1:]
    message = text.encode()
    answer = bytearray()
    failures = []

    def connected(event):
        event.target.write(message)

    def received(event):
        answer.extend(event.target.read())
        if len(answer) >= len(message):
            event.target.close()

    def failed(event):
        failures.append(event.text)

    socket = serversocket.Socket()
    socket.add_event_listener("connect", connected)
    socket.add_event_listener("socketData", received)
    socket.add_event_listener("ioError", failed)
    socket.connect(host, int(port))
    serversocket.run()  # returns when nothing is open any more
    if failures:
        return failures[0]
    print(answer.decode(errors="replace"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

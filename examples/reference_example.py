"""The example of AIR's reference page of ServerSocket, carried over line by line with its ActionScript names.

What the page's user types into text fields stands in plain attributes, and its two buttons are the methods `bind` and
`send`. Run as a program it binds, and answers whatever arrives with the message:
``reference_example.py [PORT [MESSAGE]]``.
"""

import sys
from contextlib import suppress

import serversocket
from serversocket import ByteArray, Event, ProgressEvent, ServerSocket, ServerSocketConnectEvent


class TextField:
    """As much of AIR's text field as the example uses."""

    def __init__(self, text=""):
        self.text = text
        self.scrollV = 1

    @property
    def maxScrollV(self):
        return self.text.count("\n") + 1

    def appendText(self, text):
        self.text += text


class ServerSocketExample:
    def __init__(self):
        self.serverSocket = ServerSocket()
        self.clientSocket = None
        self.setupUI()

    def onConnect(self, event):
        self.clientSocket = event.socket
        self.clientSocket.addEventListener(ProgressEvent.SOCKET_DATA, self.onClientSocketData)
        self.log("Connection from " + self.clientSocket.remoteAddress + ":" + str(self.clientSocket.remotePort))

    def onClientSocketData(self, event):
        buffer = ByteArray()
        self.clientSocket.readBytes(buffer, 0, self.clientSocket.bytesAvailable)
        self.log("Received: " + buffer.toString())

    def bind(self, event):
        if self.serverSocket.bound:
            self.serverSocket.close()
            self.serverSocket = ServerSocket()
        self.serverSocket.bind(int(self.localPort.text), self.localIP.text)
        self.serverSocket.addEventListener(ServerSocketConnectEvent.CONNECT, self.onConnect)
        self.serverSocket.listen()
        self.log("Bound to: " + self.serverSocket.localAddress + ":" + str(self.serverSocket.localPort))

    def send(self, event):
        try:
            if self.clientSocket is not None and self.clientSocket.connected:
                self.clientSocket.writeUTFBytes(self.message.text)
                self.clientSocket.flush()
                self.log("Sent message to " + self.clientSocket.remoteAddress + ":" + str(self.clientSocket.remotePort))
            else:
                self.log("No socket connection.")
        except serversocket.IOError as error:
            self.log(error.message)

    def log(self, text):
        self.logField.appendText(text + "\n")
        self.logField.scrollV = self.logField.maxScrollV
        print(text, flush=True)

    def setupUI(self):
        self.localIP = TextField("")
        self.localPort = TextField("0")
        self.message = TextField("Lucy can't drink milk.")
        self.logField = TextField()


class Answering(ServerSocketExample):
    """Presses the button "Send" whenever something has arrived."""

    def onClientSocketData(self, event):
        super().onClientSocketData(event)
        self.send(event)


def main():
    example = Answering()
    if len(sys.argv) > 1:
        example.localPort.text = sys.argv[1]
    if len(sys.argv) > 2:
        example.message.text = sys.argv[2]
    example.bind(Event("click"))
    with suppress(KeyboardInterrupt):
        serversocket.run()


if __name__ == "__main__":
    main()

"""The window of the reference page's example, in Qt: it shows what a client sends, and a click sends a message back."""

import sys

from PySide6.QtWidgets import QApplication, QFormLayout, QLineEdit, QPlainTextEdit, QPushButton, QWidget

from serversocket import ServerSocket
from serversocket.hosts import qt


class ServerWindow(QWidget):
    """A server with its text fields and buttons."""

    def __init__(self):
        super().__init__()
        self.server = ServerSocket()
        self.client = None
        self.local_ip = QLineEdit("127.0.0.1")
        self.local_port = QLineEdit("0")
        self.bind_button = QPushButton("Bind", clicked=self.listen)
        self.message = QLineEdit("Lucy can't drink milk.")
        self.send_button = QPushButton("Send", clicked=self.send)
        self.log_field = QPlainTextEdit(readOnly=True)
        form = QFormLayout(self)
        form.addRow("Local IP", self.local_ip)
        form.addRow("Local port", self.local_port)
        form.addRow("", self.bind_button)
        form.addRow("Message", self.message)
        form.addRow("", self.send_button)
        form.addRow("Log", self.log_field)
        self.setWindowTitle("ServerSocket")
        self.resize(520, 400)

    def listen(self):
        if self.server.bound:
            self.server.close()
            self.server = ServerSocket()
        try:
            self.server.bind(int(self.local_port.text()), self.local_ip.text())
            self.server.add_event_listener("connect", self.on_connect)
            self.server.listen()
        except (OSError, ValueError) as error:
            self.log(str(error))
        else:
            self.log(f"Bound to: {self.server.local_address}:{self.server.local_port}")

    def send(self):
        if self.client is None or not self.client.connected:
            self.log("No socket connection.")
            return
        self.client.write_utf_bytes(self.message.text())
        self.log(f"Sent message to {self.client.remote_address}:{self.client.remote_port}")

    def on_connect(self, event):
        self.client = event.socket
        self.client.add_event_listener("socketData", self.on_data)
        self.client.add_event_listener("close", self.on_close)
        self.log(f"Connection from {self.client.remote_address}:{self.client.remote_port}")

    def on_data(self, event):
        self.log("Received: " + event.target.read_utf_bytes(event.target.bytes_available))

    def on_close(self, event):
        self.log(f"Closed by {event.target.remote_address}:{event.target.remote_port}")

    def log(self, text):
        self.log_field.appendPlainText(text)

    def closeEvent(self, event):
        if self.server.bound:
            self.server.close()
        if self.client is not None and self.client.connected:
            self.client.close()
        super().closeEvent(event)


def main():
    app = QApplication(sys.argv)
    window = ServerWindow()
    window.show()
    with qt.attach():
        sys.exit(app.exec())


if __name__ == "__main__":
    main()

"""The window of the reference page's example, in Tk: it shows what a client sends, and a click sends a message back."""

import tkinter
from tkinter import ttk

from serversocket import ServerSocket
from serversocket.hosts import tk


class ServerWindow(ttk.Frame):
    """A server with its text fields and buttons. It fills the window that it is made in."""

    def __init__(self, root):
        super().__init__(root, padding=10)
        self.server = ServerSocket()
        self.client = None
        self.local_ip = self.add_field("Local IP", "127.0.0.1")
        self.local_port = self.add_field("Local port", "0")
        self.bind_button = self.add_button("Bind", self.listen)
        self.message = self.add_field("Message", "Lucy can't drink milk.")
        self.send_button = self.add_button("Send", self.send)
        self.log_field = self.add_log()
        self.columnconfigure(1, weight=1)
        self.pack(fill="both", expand=True)

    def listen(self):
        if self.server.bound:
            self.server.close()
            self.server = ServerSocket()
        try:
            self.server.bind(int(self.local_port.get()), self.local_ip.get())
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
        self.client.write_utf_bytes(self.message.get())
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
        self.log_field.configure(state="normal")
        self.log_field.insert("end", text + "\n")
        self.log_field.configure(state="disabled")
        self.log_field.see("end")

    def destroy(self):
        if self.server.bound:
            self.server.close()
        if self.client is not None and self.client.connected:
            self.client.close()
        super().destroy()

    def add_field(self, label, value):
        row = self.grid_size()[1]
        ttk.Label(self, text=label).grid(row=row, column=0, sticky="w", padx=(0, 10), pady=3)
        field = ttk.Entry(self, width=40)
        field.insert(0, value)
        field.grid(row=row, column=1, sticky="ew", pady=3)
        return field

    def add_button(self, label, command):
        button = ttk.Button(self, text=label, command=command)
        button.grid(row=self.grid_size()[1], column=1, sticky="w", pady=3)
        return button

    def add_log(self):
        row = self.grid_size()[1]
        ttk.Label(self, text="Log").grid(row=row, column=0, sticky="nw", padx=(0, 10), pady=3)
        field = tkinter.Text(
            self, width=54, height=12, padx=4, pady=4, font="TkTextFont", relief="flat", state="disabled"
        )
        field.grid(row=row, column=1, sticky="nsew", pady=3)
        bar = ttk.Scrollbar(self, command=field.yview)
        bar.grid(row=row, column=2, sticky="ns", pady=3)
        field.configure(yscrollcommand=bar.set)
        self.rowconfigure(row, weight=1)
        return field


def main():
    root = tkinter.Tk()
    root.title("ServerSocket")
    if root.tk.call("tk", "windowingsystem") == "x11":
        ttk.Style().theme_use("clam")
    ServerWindow(root)
    with tk.attach(root):
        root.mainloop()


if __name__ == "__main__":
    main()

import serversocket


def connected(event):
    event.socket.add_event_listener("socketData", echo)


def echo(event):
    event.target.write(event.target.read())


server = serversocket.ServerSocket()
server.add_event_listener("connect", connected)
server.bind(8000, "127.0.0.1")
server.listen()
serversocket.run()

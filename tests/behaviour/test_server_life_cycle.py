from __future__ import annotations

import pytest

import serversocket
from serversocket import ServerSocket
from serversocket.loop.reactor import current_reactor

from .helpers import FAMILIES, connect_to, run_until, settle


def is_fresh(server: ServerSocket) -> bool:
    return (server.bound, server.listening, server.local_address, server.local_port) == (False, False, None, 0)


def test_fresh_server_is_not_bound():
    assert is_fresh(ServerSocket())


def test_servers_are_supported():
    assert ServerSocket.is_supported is True
    assert ServerSocket.isSupported is True


@pytest.mark.parametrize("host", FAMILIES)
def test_bind_is_synchronous(host):
    with ServerSocket() as server:
        assert server.bind(0, host) is None
        assert (server.bound, server.listening, server.local_address) == (True, False, host)
        assert server.local_port > 0


def test_bind_takes_all_ipv4_addresses_and_a_free_port_by_default():
    with ServerSocket() as server:
        server.bind()
        assert server.local_address == "0.0.0.0"
        assert server.local_port > 0


def test_empty_address_is_all_ipv4_addresses():
    with ServerSocket() as server:
        server.bind(0, "")
        assert server.local_address == "0.0.0.0"


def test_bind_takes_the_port_that_it_is_given():
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        port = server.local_port
        server.close()
        server.bind(port, "127.0.0.1")
        assert server.local_port == port


def test_bind_takes_keywords():
    with ServerSocket() as server:
        server.bind(local_port=0, local_address="127.0.0.1")
        server.listen(backlog=5)
        assert server.listening


def test_listen_listens_at_once():
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        assert server.listen() is None
        assert (server.bound, server.listening) == (True, True)
        connect_to("127.0.0.1", server.local_port).close()


@pytest.mark.parametrize("listening", [False, True])
def test_close_makes_it_fresh_again(listening):
    server = ServerSocket()
    server.bind(0, "127.0.0.1")
    if listening:
        server.listen()
    assert server.close() is None
    assert is_fresh(server)


def test_closed_server_may_be_bound_again():
    reactor = current_reactor()
    told = []
    server = ServerSocket()
    server.add_event_listener("connect", lambda event: (told.append(event.target), event.socket.close()))
    for host in ("127.0.0.1", "::1", "127.0.0.1"):
        server.bind(0, host)
        server.listen()
        with connect_to(host, server.local_port):
            run_until(reactor, lambda: told)
        assert told.pop() is server
        server.close()
        assert is_fresh(server)


def test_close_gives_the_port_back():
    with ServerSocket() as first, ServerSocket() as second:
        first.bind(0, "127.0.0.1")
        first.listen()
        port = first.local_port
        first.close()
        second.bind(port, "127.0.0.1")
        second.listen()
        with pytest.raises(ConnectionRefusedError):
            second.close()
            connect_to("127.0.0.1", port)


def test_bind_twice_is_refused_and_the_first_binding_stays():
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        port = server.local_port
        with pytest.raises(serversocket.IOError, match=r"Error #2002: .*bind") as caught:
            server.bind(0, "127.0.0.1")
        assert caught.value.error_id == 2002
        assert (server.bound, server.local_port, server.local_address) == (True, port, "127.0.0.1")
        server.listen()
        with pytest.raises(serversocket.IOError):
            server.bind(0, "::1")
        assert (server.listening, server.local_port) == (True, port)
        connect_to("127.0.0.1", port).close()


@pytest.mark.parametrize("call", ["listen", "close"])
def test_calls_on_a_server_that_is_not_bound_are_refused(call):
    server = ServerSocket()
    for _ in range(2):
        with pytest.raises(serversocket.IOError, match=f"Error #2002: Operation attempted on invalid socket. .*{call}"):
            getattr(server, call)()
        assert is_fresh(server)


@pytest.mark.parametrize("call", ["listen", "close", "fileno"])
def test_calls_on_a_closed_server_are_refused(call):
    server = ServerSocket()
    server.bind(0, "127.0.0.1")
    server.close()
    with pytest.raises(serversocket.IOError) as caught:
        getattr(server, call)()
    assert caught.value.error_id == caught.value.errorID == 2002


def test_own_close_is_no_event():
    told = []
    server = ServerSocket()
    server.add_event_listener("close", told.append)
    server.bind(0, "127.0.0.1")
    server.listen()
    server.close()
    settle(current_reactor())
    assert told == []


def test_program_may_dispatch_close_itself():
    told = []
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        server.add_event_listener("close", told.append)
        assert server.dispatch_event(serversocket.Event("close")) is True
        assert [event.target for event in told] == [server]
        assert server.bound


def test_with_closes_what_is_open():
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        server.listen()
    assert is_fresh(server)


def test_with_does_not_mind_what_is_closed_already():
    with ServerSocket():
        pass
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        server.close()
    assert is_fresh(server)


def test_with_lets_exceptions_pass():
    with pytest.raises(ZeroDivisionError), ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        raise ZeroDivisionError
    assert is_fresh(server)


def test_listen_again_keeps_listening():
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        server.listen(5)
        port = server.local_port
        server.listen(1)
        assert (server.listening, server.local_port) == (True, port)


def test_bound_server_does_not_keep_run_from_ending():
    with ServerSocket() as server:
        server.add_event_listener("connect", print)
        server.bind(0, "127.0.0.1")
        serversocket.run()
        assert server.bound


def test_properties_are_read_only():
    server = ServerSocket()
    for name in ("bound", "listening", "local_address", "local_port", "reactor"):
        with pytest.raises(AttributeError):
            setattr(server, name, 1)


def test_descriptor_is_told():
    with ServerSocket() as server:
        with pytest.raises(serversocket.IOError):
            server.fileno()
        server.bind(0, "127.0.0.1")
        assert server.fileno() >= 0


def test_repr_tells_the_state():
    with ServerSocket() as server:
        assert "not bound" in repr(server)
        server.bind(0, "::1")
        assert f"[::1]:{server.local_port}" in repr(server)
        server.listen()
        assert "listening" in repr(server)
        assert str(server) == "[object ServerSocket]"


def test_actionscript_names_work():
    with ServerSocket() as server:
        server.bind(0, "127.0.0.1")
        assert (server.localPort, server.localAddress) == (server.local_port, server.local_address)
        server.addEventListener("connect", print)
        assert server.hasEventListener("connect")
        assert server.willTrigger("connect")
        server.removeEventListener("connect", print)
        assert not server.hasEventListener("connect")


def test_subclass_that_forgets_init_is_refused_and_does_not_crash():
    class Forgetful(ServerSocket):
        def __init__(self):
            pass

    server = Forgetful()
    for call in (server.bind, server.listen, server.close, server.fileno):
        with pytest.raises((RuntimeError, AttributeError, serversocket.IOError)):
            call()


def test_listening_before_binding_says_what_to_do():
    with pytest.raises(serversocket.IOError, match=r"listen: the socket is not bound: call bind\(\) first"):
        ServerSocket().listen()

"""The client's hello: the first message of TLS, read before anything is answered."""

from __future__ import annotations

from dataclasses import dataclass

from ..naming import with_as3_names

__all__ = ["ClientHello", "Malformed", "Offer", "first_record", "parse"]

LONGEST = 65536  # bytes of a hello
RECORD_HEADER = 5
LONGEST_RECORD = 16384 + 2048

_HANDSHAKE, _CLIENT_HELLO = 22, 1
_SERVER_NAME, _ALPN, _SUPPORTED_VERSIONS = 0, 16, 43


class Malformed(Exception):
    """What has come is no hello of TLS."""


@with_as3_names
class ClientHello:
    """What a client says first; a callable in `ServerSocket.tls` is asked with it.

    Args:
        server_name: The name that the client asks for; ``None`` if it gives none.
        alpn_protocols: The protocols that it offers, the one that it likes best first.
        remote_address: The client's IP address.
        remote_port: The client's port.
        versions: The versions of TLS that it offers, in its order, such as ``ssl.TLSVersion.TLSv1_3``.

    Example:
        >>> hello = ClientHello("example.org", ("h2",), "192.0.2.1", 50000, (772, 771))
        >>> hello.server_name, hello.serverName
        ('example.org', 'example.org')
    """

    __slots__ = ("alpn_protocols", "remote_address", "remote_port", "server_name", "versions")

    server_name: str | None
    """The name that the client asks for; ``None`` if it gives none."""

    alpn_protocols: tuple[str, ...]
    """The protocols that it offers, the one that it likes best first."""

    remote_address: str
    """The client's IP address."""

    remote_port: int
    """The client's port."""

    versions: tuple[int, ...]
    """The versions of TLS that it offers, in its order, such as ``ssl.TLSVersion.TLSv1_3``."""

    def __init__(
        self,
        server_name: str | None,
        alpn_protocols: tuple[str, ...],
        remote_address: str,
        remote_port: int,
        versions: tuple[int, ...],
    ) -> None:
        self.server_name = server_name
        self.alpn_protocols = alpn_protocols
        self.remote_address = remote_address
        self.remote_port = remote_port
        self.versions = versions

    def __repr__(self) -> str:
        return f"<{type(self).__name__} for {self.server_name} from {self.remote_address}:{self.remote_port}>"


@dataclass(frozen=True, slots=True)
class Offer:
    """What is read of a hello."""

    server_name: str | None
    alpn_protocols: tuple[str, ...]
    versions: tuple[int, ...]


def first_record(data: bytes | bytearray) -> bool:
    """Returns True if the first record is whole, or can be none.

    Example:
        >>> (
        ...     first_record(b"\\x16\\x03\\x01\\x00\\x02h"),
        ...     first_record(b"\\x16\\x03\\x01\\x00\\x02hi"),
        ...     first_record(b"GET"),
        ... )
        (False, True, True)
    """
    if not data:
        return False
    if data[0] != _HANDSHAKE or (len(data) > 1 and data[1] != 3):
        return True
    if len(data) < RECORD_HEADER:
        return False
    size = int.from_bytes(data[3:RECORD_HEADER], "big")
    return size > LONGEST_RECORD or len(data) >= RECORD_HEADER + size


def parse(data: bytes | bytearray) -> Offer | None:
    """Reads a hello, which may be spread over several records.

    Args:
        data: What the client has sent.

    Returns:
        What it offers; ``None`` if more has to come.

    Raises:
        Malformed: It is no hello.
    """
    message = _message(bytes(data))
    return None if message is None else _offer(_Reader(message))


def _message(data: bytes) -> bytes | None:
    """The hello without the headers of records and its own; None if more has to come."""
    found, start = bytearray(), 0
    while start + RECORD_HEADER <= len(data):
        size = int.from_bytes(data[start + 3 : start + RECORD_HEADER], "big")
        if data[start] != _HANDSHAKE or data[start + 1] != 3 or not 0 < size <= LONGEST_RECORD:
            raise Malformed("a record is no handshake of TLS")
        found += data[start + RECORD_HEADER : start + RECORD_HEADER + size]
        if found[0] != _CLIENT_HELLO:
            raise Malformed("the first message is no client's hello")
        if len(found) >= 4:
            length = int.from_bytes(found[1:4], "big")
            if length > LONGEST:
                raise Malformed(f"the client's hello has {length} bytes")
            if len(found) >= 4 + length:
                return bytes(found[4 : 4 + length])
        start += RECORD_HEADER + size
    if data[:1] not in (b"", bytes([_HANDSHAKE])):
        raise Malformed("it is no handshake of TLS")
    return None


def _offer(reader: _Reader) -> Offer:
    version = reader.number(2)
    reader.take(32)
    for width in (1, 2, 1):  # the session, the ciphers, the compressions
        reader.vector(width)
    server_name: str | None = None
    protocols: tuple[str, ...] = ()
    versions: tuple[int, ...] = (version,)
    extensions = _Reader(reader.vector(2)) if reader.left() else _Reader(b"")
    while extensions.left():
        kind, body = extensions.number(2), _Reader(extensions.vector(2))
        if kind == _SERVER_NAME:
            server_name = _server_name(_Reader(body.vector(2)))
        elif kind == _ALPN:
            protocols = _protocols(_Reader(body.vector(2)))
        elif kind == _SUPPORTED_VERSIONS:
            versions = _versions(body.vector(1))
    return Offer(server_name, protocols, versions)


def _server_name(names: _Reader) -> str | None:
    while names.left():
        kind, name = names.number(1), names.vector(2)
        if kind == 0:
            if not name or not name.isascii() or b"\0" in name:
                raise Malformed("the server's name is none")
            return name.decode("ascii")
    return None


def _protocols(names: _Reader) -> tuple[str, ...]:
    found = []
    while names.left():
        name = names.vector(1)
        if not _is_grease(name):
            found.append(name.decode("latin-1"))
    return tuple(found)


def _versions(data: bytes) -> tuple[int, ...]:
    pairs = [data[start : start + 2] for start in range(0, len(data), 2)]
    return tuple(int.from_bytes(pair, "big") for pair in pairs if not _is_grease(pair))


def _is_grease(value: bytes) -> bool:
    """Returns True for what clients send to keep servers tolerant (RFC 8701)."""
    return len(value) == 2 and value[0] == value[1] and value[0] & 0x0F == 0x0A


class _Reader:
    """Reads what is in a message from its beginning."""

    __slots__ = ("_data", "_position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._position = 0

    def left(self) -> int:
        return len(self._data) - self._position

    def take(self, size: int) -> bytes:
        if size > self.left():
            raise Malformed("the client's hello is cut")
        self._position += size
        return self._data[self._position - size : self._position]

    def number(self, width: int) -> int:
        return int.from_bytes(self.take(width), "big")

    def vector(self, width: int) -> bytes:
        """What begins with its own length."""
        return self.take(self.number(width))

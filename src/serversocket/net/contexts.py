"""`tls_context`: a server's context, with what a server of today wants."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from .. import errors

if TYPE_CHECKING:
    import ssl

Path = str | os.PathLike[str]
Password = str | bytes | Callable[[], str | bytes]

TLS_1_2 = 0x0303  # ssl.TLSVersion.TLSv1_2: `ssl` is imported only where TLS is used


def tls_context(
    certificate: Path,
    key: Path | None = None,
    *,
    password: Password | None = None,
    alpn: Iterable[str] = (),
    client_ca: Path | None = None,
    require_client_certificate: bool = False,
    minimum_version: int = TLS_1_2,
) -> ssl.SSLContext:
    """Makes the context of a server, for `ServerSocket.tls`.

    Renegotiation, compression and early data are off; a client gets two tickets to resume with.

    Args:
        certificate: The path of a PEM file with the certificate and those between it and its authority.
        key: The path of the PEM file with its key; ``None`` (the default) if the key is in `certificate`.
        password: What the key is encrypted with.
        alpn: Protocols for ALPN, such as ``("h2", "http/1.1")``, the best first.
        client_ca: The path of a PEM file with authorities: clients are asked for a certificate of one of them.
        require_client_certificate: A client without one is refused.
        minimum_version: The oldest version that is spoken, ``ssl.TLSVersion.TLSv1_2`` by default.

    Raises:
        OSError: A file cannot be read.
        ArgumentError: The key does not belong to the certificate, a file holds something else, the password is wrong
            or missing, or a certificate is required and no `client_ca` given (#2004).
        TypeError: An argument has the wrong type; `alpn` as one string is refused, too.

    Example:
        >>> import serversocket
        >>> try:
        ...     serversocket.tls_context("missing.pem")
        ... except FileNotFoundError as error:
        ...     print(error.filename)
        missing.pem
    """
    import ssl  # noqa: PLC0415 - only where it is used

    if isinstance(alpn, (str, bytes)):
        raise errors.wrong_type("alpn", alpn, "a sequence of names")
    protocols = list(alpn)
    for name in protocols:
        if not isinstance(name, str):
            raise errors.wrong_type("alpn", name, "a sequence of names")
        if not 0 < len(name.encode()) < 256:
            raise errors.bad_argument("tls_context", f"alpn: {errors.shown(name)} must have 1 to 255 bytes")
    if require_client_certificate and client_ca is None:
        raise errors.bad_argument("tls_context", "require_client_certificate needs client_ca")
    for path in (certificate, key, client_ca):
        if path is not None:
            with open(path, "rb"):
                pass  # what the system refuses, it says better than OpenSSL
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion(minimum_version)
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_CIPHER_SERVER_PREFERENCE
    context.num_tickets = 2
    if protocols:
        context.set_alpn_protocols(protocols)
    _load(context, certificate, key, password)
    if client_ca is not None:
        try:
            context.load_verify_locations(client_ca)
        except ssl.SSLError:
            raise errors.bad_argument(
                "tls_context", f"client_ca: {os.fspath(client_ca)!r} holds no certificate"
            ) from None
        context.verify_mode = ssl.CERT_REQUIRED if require_client_certificate else ssl.CERT_OPTIONAL
    return context


def _load(context: ssl.SSLContext, certificate: Path, key: Path | None, password: Password | None) -> None:
    import ssl  # noqa: PLC0415

    asked = False

    def no_password() -> str:
        nonlocal asked
        asked = True
        return ""

    holder = os.fspath(certificate if key is None else key)
    try:
        context.load_cert_chain(certificate, key, no_password if password is None else password)
    except ssl.SSLError as error:
        if asked:
            why = f"the key in {holder!r} is encrypted: give its password"
        elif error.reason == "KEY_VALUES_MISMATCH":
            why = f"the key in {holder!r} does not belong to the certificate in {os.fspath(certificate)!r}"
        elif password is not None and _loads(certificate):
            why = f"the key in {holder!r} cannot be read: is the password right?"
        elif _loads(certificate):
            why = f"{holder!r} holds no key"
        else:
            why = f"{os.fspath(certificate)!r} holds no certificate"
        raise errors.bad_argument("tls_context", why) from None


def _loads(certificate: Path) -> bool:
    """Returns True if there is a certificate in the file."""
    import ssl  # noqa: PLC0415

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(certificate)
    except ssl.SSLError:
        return False
    return True

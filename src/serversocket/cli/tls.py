"""TLS on the command line: its arguments, and contexts made of them."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from .. import ArgumentError, ServerSocket, tls_context
from . import console, problems
from .console import logger

if TYPE_CHECKING:
    import ssl


def add_server_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of every server."""
    parser.add_argument("--tls-certificate", metavar="FILE", help="speak TLS, with this certificate chain (PEM)")
    parser.add_argument("--tls-key", metavar="FILE", help="its key (PEM; default: in the file of the certificate)")
    parser.add_argument(
        "--tls-client-ca", metavar="FILE", help="require a certificate of clients, by one of these authorities (PEM)"
    )


def server_context(options: argparse.Namespace) -> ssl.SSLContext | None:
    """The context that the options ask for; ends the command if it cannot be made."""
    if options.tls_certificate is None:
        if options.tls_key or options.tls_client_ca:
            console.fail("--tls-key and --tls-client-ca need --tls-certificate", 2)
        return None
    try:
        return tls_context(
            options.tls_certificate,
            options.tls_key,
            client_ca=options.tls_client_ca,
            require_client_certificate=options.tls_client_ca is not None,
        )
    except ArgumentError as error:
        console.fail(f"TLS: {problems.reason(error).removeprefix('tls_context: ')}")
    except OSError as error:
        console.fail(f"TLS: {error.filename}: {error.strerror}")


def equip(server: ServerSocket, context: ssl.SSLContext | None) -> None:
    """Gives a server its TLS."""
    if context is not None:
        server.tls = context
        server.add_event_listener("tlsError", _refused)


def _refused(event: Any) -> None:
    logger.warning("TLS with %s:%d failed: %s", event.remote_address, event.remote_port, event.reason)


def add_client_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the arguments of the client."""
    parser.add_argument("--tls", action="store_true", help="speak TLS")
    parser.add_argument("--ca", metavar="FILE", help="trust these authorities (PEM; default: those of the system)")
    parser.add_argument("--server-name", metavar="NAME", help="the name in the server's certificate (default: HOST)")
    parser.add_argument("--insecure", action="store_true", help="do not check the server's certificate")


def client_context(options: argparse.Namespace) -> ssl.SSLContext | None:
    """The context that the options ask for; ends the command if it cannot be made."""
    if not options.tls:
        if options.ca or options.server_name or options.insecure:
            console.fail("--ca, --server-name and --insecure need --tls", 2)
        return None
    import ssl  # noqa: PLC0415 - only where it is used

    try:
        context = ssl.create_default_context(cafile=options.ca)
    except ssl.SSLError:
        console.fail(f"TLS: {options.ca}: holds no certificate (PEM)")
    except OSError as error:
        console.fail(f"TLS: {options.ca}: {error.strerror}")
    if options.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def failed(reason: str, host: str) -> str:
    """What to do about a handshake that has failed."""
    if "mismatch" in reason:
        return f"the certificate is not for {host}: --server-name gives the name that it is for"
    if "expired" in reason:
        return "the server needs a new certificate"
    if "self-signed" in reason or "self signed" in reason or "issuer" in reason:
        return "--ca trusts an authority of your own"
    if "wrong version" in reason or "record layer" in reason:
        return "the server speaks no TLS"
    return ""

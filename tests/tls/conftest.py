"""Certificates for the tests."""

from __future__ import annotations

import ssl

import pytest
import trustme

import serversocket

from ..behaviour.helpers import listening
from .peers import Server


class Authority:
    """One that has signed a server and a client, and the files of both."""

    def __init__(self, folder) -> None:
        self.ca = trustme.CA()
        self.folder = folder
        self.ca_file = self.file("ca.pem", self.ca.cert_pem)
        self.server = self.issue("localhost", "127.0.0.1")
        self.client = self.issue("client@example.org")

    def file(self, name: str, blob) -> str:
        path = self.folder / name
        blob.write_to_path(path)
        return str(path)

    def issue(self, *names: str) -> tuple[str, str]:
        cert = self.ca.issue_cert(*names)
        path = self.folder / f"{names[0]}.pem"
        for number, blob in enumerate(cert.cert_chain_pems):
            blob.write_to_path(path, append=number > 0)
        return str(path), self.file(f"{names[0]}.key", cert.private_key_pem)

    def server_context(self, **options) -> ssl.SSLContext:
        return serversocket.tls_context(*self.server, **options)

    def client_context(self, version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context


@pytest.fixture(scope="session")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def it(authority):
    with listening() as server:
        it = Server(server, authority.server_context())
        yield it
        it.close()

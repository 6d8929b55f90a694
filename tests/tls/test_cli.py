"""TLS on the command line."""

from __future__ import annotations

import json
import subprocess

import pytest

from ..behaviour.commands import port_of, run, start  # noqa: F401 - a fixture


def test_echo_and_connect(authority, start):  # noqa: F811
    certificate, key = authority.server
    server = start("echo", "--tls-certificate", certificate, "--tls-key", key)
    port = str(port_of(server))
    found = run(
        "connect", "--tls", "--ca", authority.ca_file, "--server-name", "localhost", "127.0.0.1", port, input=b"hi"
    )
    assert (found.stdout, found.returncode) == (b"hi", 0), found.stderr
    assert run("connect", "--tls", "--insecure", "127.0.0.1", port, input=b"hi").stdout == b"hi"
    for arguments, words in [
        ((), b"--ca trusts"),
        (("--ca", authority.ca_file, "--server-name", "other.example"), b"--server-name gives"),
    ]:
        refused = run("connect", "--tls", *arguments, "127.0.0.1", port, input=b"")
        assert (refused.returncode, words in refused.stderr) == (1, True), refused.stderr
        assert b"Traceback" not in refused.stderr


def test_clients_need_a_certificate_with_client_ca(authority, start):  # noqa: F811
    certificate, key = authority.server
    server = start("echo", "--tls-certificate", certificate, "--tls-key", key, "--tls-client-ca", authority.ca_file)
    found = run("connect", "--tls", "--insecure", "127.0.0.1", str(port_of(server)), input=b"hi")
    assert (found.stdout, found.returncode) == (b"", 1)


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("echo", "--tls-certificate", "no.pem"), 1, b"no.pem: No such file"),
        (("echo", "--tls-key", "x"), 2, b"need --tls-certificate"),
        (("connect", "--ca", "x", "127.0.0.1", "1"), 2, b"need --tls"),
        (("connect", "--tls", "--ca", "no.pem", "127.0.0.1", "1"), 1, b"no.pem: No such file"),
    ],
)
def test_what_is_refused(arguments, code, words):
    found: subprocess.CompletedProcess[bytes] = run(*arguments, input=b"")
    assert (found.returncode, words in found.stderr) == (code, True), found.stderr


def test_a_key_that_does_not_belong_to_it(authority):
    found = run("echo", "--port", "0", "--tls-certificate", authority.server[0], "--tls-key", authority.client[1])
    assert (found.returncode, b"does not belong" in found.stderr) == (1, True), found.stderr


def test_info_says_how():
    assert "ssl" in json.loads(run("info", "--json").stdout)["tls"]

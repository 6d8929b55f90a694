"""What an address and a host name may be."""

from __future__ import annotations

import errno
import ipaddress
import re
import socket

import pytest

from serversocket import errors
from serversocket.net.addresses import (
    Address,
    format_endpoint,
    parse_address,
    parse_host,
    refused,
    require_local,
)

INET, INET6 = socket.AF_INET, socket.AF_INET6


def _named(value: object) -> str:
    """A test's name for a value, the same in every process."""
    return re.sub(r" at 0x[0-9a-f]+", "", errors.shown(value))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", Address(INET, "0.0.0.0")),
        ("0.0.0.0", Address(INET, "0.0.0.0")),
        ("127.0.0.1", Address(INET, "127.0.0.1")),
        ("255.255.255.255", Address(INET, "255.255.255.255")),
        ("::", Address(INET6, "::")),
        ("::1", Address(INET6, "::1")),
        ("0:0:0:0:0:0:0:1", Address(INET6, "::1")),
        ("2001:DB8::A", Address(INET6, "2001:db8::a")),
        ("::ffff:192.0.2.1", Address(INET6, "::ffff:192.0.2.1")),
        ("fe80::1", Address(INET6, "fe80::1")),
        (ipaddress.ip_address("127.0.0.1"), Address(INET, "127.0.0.1")),
        (ipaddress.ip_address("::1"), Address(INET6, "::1")),
        (ipaddress.ip_interface("10.0.0.1/8"), Address(INET, "10.0.0.1")),
    ],
)
def test_addresses(value: object, expected: Address) -> None:
    assert parse_address(value) == expected
    if value != "":
        assert parse_host(value) == expected


MALFORMED = [
    "127.1", "1.2.3", "1.2.3.4.5", "0x7f.0.0.1", "0177.0.0.1", "010.0.0.1", "127.0.0.01", "2130706433", "256.0.0.1",
    "1.2.3.", ".1.2.3", "1..2.3", "127.0.0.1:80", "127.0.0.1/8", " 127.0.0.1", "127.0.0.1 ",
    "127.0.0.1\n", "\t::1", "127.0.0.1\0", "127.0.0.1\0.example", "\0", "\uff11\uff12\uff17.0.0.1",
    "127\u30020\u30020\u30021", "\u0661\u0662\u0667.0.0.1", "[::1]", "[::1]:80", "::1:", ":::", "1::2::3", "12345::",
    "::g", "::1/128", "::1%", "fe80::1%", "fe80::1%a%b", "fe80::1%a\0", "fe80::1% lo", "fe80::1%a/b", "fe80::1%é",
    "127.0.0.1%lo", "%lo", "\ud800", "::\udc00", "x" * 70_000, "1" * 70_000, "1." * 35_000,
]  # fmt: skip


@pytest.mark.parametrize("value", [*MALFORMED, "localhost", "example.com", "*", "any"], ids=_named)
def test_an_address_that_is_not_well_formed(value: str) -> None:
    with pytest.raises(errors.ArgumentError, match="#2004") as caught:
        parse_address(value)
    assert caught.value.error_id == 2004
    assert errors.shown(value) in str(caught.value)
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("value", MALFORMED, ids=_named)
def test_a_host_that_only_looks_like_an_address(value: str) -> None:
    with pytest.raises(errors.ArgumentError, match="#2004"):
        parse_host(value)


@pytest.mark.parametrize(
    "value", [b"127.0.0.1", 1, 1.5, True, [], ("127.0.0.1", 80), ipaddress.ip_network("10.0.0.0/8")], ids=_named
)
def test_an_address_of_the_wrong_type(value: object) -> None:
    with pytest.raises(TypeError, match="local_address must be a string"):
        parse_address(value)
    with pytest.raises(TypeError, match="host must be a string"):
        parse_host(value)


def test_no_address_at_all() -> None:
    with pytest.raises(TypeError, match="#2007") as caught:
        parse_address(None)
    assert caught.value.error_id == 2007  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="#1009") as reference:
        parse_host(None)
    assert reference.value.error_id == 1009  # type: ignore[attr-defined]


def test_a_subclass_of_str_is_its_text() -> None:
    class Text(str):
        def __str__(self) -> str:
            return "elsewhere"

    assert parse_address(Text("::1")).host == "::1"


# -------------------------------------------------------------------------------------------------- scopes


@pytest.fixture
def interface() -> tuple[int, str]:
    interfaces = socket.if_nameindex()
    if not interfaces:
        pytest.skip("no network interface")
    return interfaces[0]


def test_a_scope_by_name_and_by_index(interface: tuple[int, str]) -> None:
    index, name = interface
    expected = Address(INET6, "fe80::1", index)
    assert parse_address(f"fe80::1%{name}") == expected
    assert parse_address(f"fe80::1%{index}") == expected
    assert parse_address(ipaddress.ip_address(f"fe80::1%{name}")) == expected
    assert parse_host(f"fe80::1%{name}") == expected
    assert expected.text == f"fe80::1%{name}"


@pytest.mark.parametrize(
    "scope", ["nosuchif0", "999999", "0", "01", "4294967296", "9" * 5000, "x" * 70_000, "-1"], ids=_named
)
def test_a_scope_that_does_not_exist(scope: str) -> None:
    with pytest.raises(errors.IOError, match="#2002") as caught:
        parse_address(f"fe80::1%{scope}")
    assert caught.value.errno == errno.ENODEV


@pytest.mark.parametrize("literal", ["::1%lo", "::1%1", "::1%999999", "2001:db8::1%lo", "::%lo"])
def test_only_link_local_addresses_have_a_scope(literal: str) -> None:
    with pytest.raises(errors.ArgumentError, match="only a link-local"):
        parse_address(literal)


def test_the_text_of_a_scope_whose_interface_has_gone() -> None:
    assert Address(INET6, "fe80::1", 999_999).text == "fe80::1%999999"


# ------------------------------------------------------------------------------------------- no local address


@pytest.mark.parametrize("literal", ["224.0.0.1", "239.255.255.255", "255.255.255.255", "ff02::1", "ff0e::1"])
def test_multicast_and_broadcast_are_no_local_addresses(literal: str) -> None:
    with pytest.raises(errors.IOError, match="#2002") as caught:
        require_local(parse_address(literal), 80)
    assert caught.value.errno == errno.EADDRNOTAVAIL
    assert f"bind {format_endpoint(literal, 80)}: " in str(caught.value)


@pytest.mark.parametrize("literal", ["0.0.0.0", "127.0.0.1", "192.0.2.1", "::", "::1", "fe80::1", "10.255.255.255"])
def test_what_may_be_a_local_address(literal: str) -> None:
    require_local(parse_address(literal), 80)


def test_a_link_local_address_without_its_interface_gets_a_hint() -> None:
    error = refused("bind", parse_address("fe80::1"), 80, errno.EINVAL)
    assert error.errno == errno.EINVAL
    assert "bind [fe80::1]:80: " in str(error)
    assert "needs its interface" in str(error)


@pytest.mark.parametrize(("literal", "number"), [("169.254.0.1", errno.EINVAL), ("fe80::1", errno.EADDRINUSE)])
def test_other_refusals_get_no_hint(literal: str, number: int) -> None:
    assert "interface" not in str(refused("bind", parse_address(literal), 80, number))


# ---------------------------------------------------------------------------------------------- host names


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("localhost", "localhost"),
        ("example.com", "example.com"),
        ("example.com.", "example.com."),
        ("a-b_c.d0", "a-b_c.d0"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("xn--bcher-kva.example", "xn--bcher-kva.example"),
        ("1.2.3.4.example", "1.2.3.4.example"),
        ("a." * 126 + "aaa", "a." * 126 + "aaa"),
    ],
)
def test_host_names(value: str, expected: str) -> None:
    assert parse_host(value) == expected


@pytest.mark.parametrize(
    "value",
    [
        "", ".", "..", ".a", "a..b", "http://example.com", "//example.com", "example.com/", "example.com:80", "a b",
        "a\tb", "a\0b", "a\x7fb", "a@b", "a%b", "[a]", "a\uff0fb", "a" * 64, "a." * 128, "é" * 63 + "." + "é" * 63,
        "*", "a?b", "1.2.3.4.", "example.0x7f", "example.1",
    ],
    ids=_named,
)  # fmt: skip
def test_what_is_no_host_name(value: str) -> None:
    with pytest.raises(errors.ArgumentError, match="#2004"):
        parse_host(value)


@pytest.mark.parametrize(
    ("host", "expected"), [("127.0.0.1", "127.0.0.1:80"), ("::1", "[::1]:80"), ("example.com", "example.com:80")]
)
def test_endpoints(host: str, expected: str) -> None:
    assert format_endpoint(host, 80) == expected

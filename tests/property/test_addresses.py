"""Any value gets a verdict: an address, a host name, or one of the errors that are promised."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import string

from hypothesis import example, given
from hypothesis import strategies as st

from serversocket import errors
from serversocket.checks import as_backlog, as_client_port, as_port
from serversocket.net.addresses import (
    Address,
    format_endpoint,
    parse_address,
    parse_host,
)

texts = st.text() | st.text(string.hexdigits + ".:%/[]x \0\n", max_size=50)
objects = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.complex_numbers() | st.binary() | texts,
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
addresses = st.ip_addresses()
octets = st.integers(0, 260).map(str) | st.sampled_from(["00", "01", "0x7f", "", " 1", "\uff11"])
quads = st.lists(octets, min_size=3, max_size=5).map(".".join)
colons = st.lists(st.sampled_from(["", "0", "1", "FFFF", "127.0.0.1", "g"]), min_size=2, max_size=9).map(":".join)


@given(st.integers())
def test_a_port_is_in_range_or_refused(value: int) -> None:
    for parse, error in ((as_port, errors.RangeError), (as_client_port, errors.SecurityError)):
        try:
            assert parse("port", value) == value
        except error:
            assert not 0 <= value <= 65535
        else:
            assert 0 <= value <= 65535


@given(objects)
def test_any_object_as_a_number(value: object) -> None:
    for parse in (as_port, as_client_port, as_backlog):
        try:
            assert type(parse("port", value)) is int
        except TypeError:
            assert isinstance(value, bool) or not isinstance(value, int)
        except (errors.RangeError, errors.SecurityError):
            assert isinstance(value, int)


@given(objects)
def test_any_object_as_an_address(value: object) -> None:
    for parse in (parse_address, parse_host):
        try:
            parse(value)
        except TypeError:
            assert not isinstance(value, str)
        except (errors.ArgumentError, errors.IOError):
            assert isinstance(value, str)


@given(texts | quads | colons | addresses.map(str))
@example("1.2.3.4")
@example("::1")
def test_what_is_taken_for_an_address_is_one_for_the_system_too(text: str) -> None:
    with contextlib.suppress(errors.ArgumentError, errors.IOError):
        address = parse_address(text)
        assert text.isascii()
        assert socket.inet_ntop(address.family, socket.inet_pton(address.family, address.host)) == address.host


@given(texts)
def test_a_host_name_is_plain_ascii(text: str) -> None:
    with contextlib.suppress(errors.ArgumentError, errors.IOError):
        host = parse_host(text)
        if not isinstance(host, Address):
            assert set(host) <= {*string.ascii_letters, *string.digits, *"._-"}
            assert 0 < len(host) <= 255


@given(addresses)
def test_every_literal_is_taken(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> None:
    parsed = parse_address(str(address))
    assert ipaddress.ip_address(parsed.host) == address
    assert parsed == parse_address(address) == parse_host(address.exploded) == parse_host(parsed.text)
    assert format_endpoint(parsed.host, 1).count("[") == (address.version == 6)


@given(addresses, st.text(string.printable + "é\0", min_size=1, max_size=1), st.integers(0, 50))
def test_a_literal_with_a_character_more_is_another_or_none(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, character: str, place: int
) -> None:
    text = str(address)
    text = text[:place] + character + text[place:]
    try:
        expected = ipaddress.ip_address(text)
    except ValueError:
        expected = None
    try:
        parsed = parse_address(text)
    except (errors.ArgumentError, errors.IOError):
        assert expected is None or "%" in text
    else:
        assert expected is not None
        assert ipaddress.ip_address(parsed.host).packed == expected.packed

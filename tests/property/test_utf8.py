"""UTF-8 is read as AIR's player reads it, told here by a model of its rule that goes byte by byte."""

from __future__ import annotations

from typing import NamedTuple

from hypothesis import example, given
from hypothesis import strategies as st

from serversocket.data import charsets
from serversocket.data.byte_array import ByteArray


class Form(NamedTuple):
    """A kind of sequence: how its first byte begins, how many of its bits count, and the least that it may say."""

    prefix: str
    bits: int
    following: int
    least: int


FORMS = [Form("110", 5, 1, 0x80), Form("1110", 4, 2, 0x800), Form("1111", 3, 3, 0x10000)]

LEADS = [0x00, 0x41, 0x7F, 0xC0, 0xC1, 0xC2, 0xDF, 0xE0, 0xED, 0xEF, 0xF0, 0xF4, 0xF5, 0xF8, 0xF9, 0xFC, 0xFF]
OTHERS = [0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xAF, 0xB0, 0xBB, 0xBF]

any_bytes = st.binary() | st.lists(st.sampled_from(LEADS) | st.sampled_from(OTHERS) | st.integers(0, 255)).map(bytes)
any_text = st.text(st.characters(exclude_characters="\0")).filter(lambda text: not text.startswith("\ufeff"))


def bits(byte: int) -> str:
    return f"{byte:08b}"


def units_of(data: bytes) -> list[int]:
    """The text in UTF-16, the only form in which the player knows texts."""
    units: list[int] = []
    while data:
        size, found = sequence(data)
        units += found
        data = data[size:]
    return units


def sequence(data: bytes) -> tuple[int, list[int]]:
    """How many bytes the sequence at the beginning has, and what it says."""
    for form in FORMS:
        following = data[1 : 1 + form.following]
        if (
            bits(data[0]).startswith(form.prefix)
            and len(following) == form.following
            and all(bits(byte).startswith("10") for byte in following)
        ):
            number = int(bits(data[0])[-form.bits :] + "".join(bits(byte)[2:] for byte in following), 2)
            if number >= form.least:
                return 1 + form.following, in_utf16(number)
    return 1, [data[0]]


def in_utf16(number: int) -> list[int]:
    if number < 0x10000:
        return [number]
    number = (number - 0x10000) % 0x100000
    return [0xD800 + number // 0x400, 0xDC00 + number % 0x400]


def text_of(units: list[int]) -> str:
    """As Python has it: two surrogates that belong together are one character."""
    text = ""
    for unit in units:
        if 0xDC00 <= unit <= 0xDFFF and text and 0xD800 <= ord(text[-1]) <= 0xDBFF:
            text = text[:-1] + chr(0x10000 + (ord(text[-1]) - 0xD800) * 0x400 + (unit - 0xDC00))
        else:
            text += chr(unit)
    return text


@given(any_bytes)
@example(b"\xf9\x80\x80\x80\x80")
@example(b"\xed\xa0\xbd\xed\xb0\x8c")
@example(b"\xf7\xbf\xbf\xbf")
@example(b"\xf8\x8f\xbf\xbf\xbf")
@example(b"\xe0\x9f\xbf\xe0\xa0\x80")
def test_any_bytes_are_read_by_the_players_rule(data: bytes) -> None:
    wanted = text_of(units_of(data.removeprefix(b"\xef\xbb\xbf")))
    assert charsets.utf8_text(data) == wanted
    assert charsets.decode_utf8(data) == wanted.partition("\0")[0]


@given(any_text)
@example("\ud83d")
@example("\ud83d\udc0c")
@example("\udc0c\ud83d")
def test_any_text_is_read_as_it_was_written(text: str) -> None:
    array = ByteArray()
    array.write_utf(text)
    written = array.length
    array.write_utf_bytes(text)
    array.write_multi_byte(text, "utf-8")
    size = written - 2
    wanted = text_of([unit for character in text for unit in in_utf16(ord(character))])
    array.position = 0
    assert array.read_utf() == array.read_utf_bytes(size) == array.read_multi_byte(size, "utf-8") == wanted
    assert array.bytes_available == 0

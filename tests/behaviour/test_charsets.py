"""AIR's names of character sets, and texts that are malformed."""

from __future__ import annotations

import codecs
import locale
import tracemalloc
from collections.abc import Callable

import pytest

from serversocket.data import charsets


@pytest.mark.parametrize(
    ("names", "codec"),
    [
        ("shift_jis shift-jis x-sjis csShiftJIS ms_Kanji SHIFT_JIS", "cp932"),
        ("iso-8859-1 latin1 l1 cp819", "latin-1"),
        ("us-ascii ascii", "ascii"),
        ("utf-8 UTF-8 unicode-1-1-utf-8", "utf-8"),
        ("unicode utf-16 Unicode", "utf-16-le"),
        ("unicodeFFFE", "utf-16-be"),
        ("gb2312 CN-GB GBK chinese", "gbk"),
        ("gb18030", "gb18030"),
        ("hz-gb-2312", "hz"),
        ("big5 cn-big5", "big5"),
        ("euc-jp x-euc-jp", "euc-jp"),
        ("ks_c_5601-1987 korean", "cp949"),
        ("euc-kr", "euc-kr"),
        ("koi8-r koi8", "koi8-r"),
        ("koi8-u koi8-ru", "koi8-u"),
        ("utf-7", "utf-7"),
        ("windows-1252", "cp1252"),
        ("iso-8859-15", "iso8859-15"),
    ],
)
def test_airs_names(names: str, codec: str) -> None:
    assert {charsets.codec_for(name) for name in names.split()} == {codec}


def test_every_codec_of_the_table_exists_and_copes_with_anything() -> None:
    for codec in charsets._NAMES:
        assert codecs.lookup(codec)
        assert isinstance(charsets.decode(bytes(range(255, -1, -1)), codec), str)
        assert isinstance(charsets.encode("a\ud800\U0001f600\u20ac", codec), bytes)


@pytest.mark.parametrize(
    "name", ["", "no-such-charset", "punycode", "unicode_escape", "undefined", "rot13", "\0", "\ud800"]
)
def test_an_unknown_name_means_the_systems_code_page(name: str) -> None:
    assert charsets.codec_for(name) == locale.getencoding()


def test_no_name() -> None:
    with pytest.raises(TypeError, match="#2007"):
        charsets.codec_for(None)
    with pytest.raises(TypeError, match="char_set must be a string"):
        charsets.codec_for(b"utf-8")


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", ""),
        (b"abc", "abc"),
        (b"caf\xc3\xa9", "café"),
        (b"\xef\xbb\xbfabc", "abc"),
        (b"\xef\xbb\xbf", ""),
        (b"\xef\xbb", "\xef\xbb"),
        (b"\xef\xbb\xbf\xef\xbb\xbfa", "\ufeffa"),
        (b"ab\0cd", "ab"),
        (b"\0", ""),
        (b"\xff\x80a", "\xff\x80a"),
        (b"\xc3", "\xc3"),
        (b"\xe2\x82", "\xe2\x82"),
        (b"\xe2\x82a", "\xe2\x82a"),
        (b"\xc0\x80", "\xc0\x80"),
        (b"\xf0\x9f\x98\x80", "\U0001f600"),
        (b"\xe9t\xe9 caf\xc3\xa9 \xe2\x82\xac\xe2\x82", "\xe9t\xe9 café €\xe2\x82"),
        (b"\0\xed\xa0\xbd", ""),
        (b"\xef\xbb\xbf\xed\xa0\xbd\0\xff", "\ud83d"),
    ],
)
def test_utf8_never_fails(data: bytes, text: str) -> None:
    assert charsets.decode_utf8(data) == text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xed\x80", "\xed\x80"),
        (b"\xedp\x80", "\xedp\x80"),
        (b"\xed\0\x80\x80", "\xed\0\x80\x80"),
        (b"\xed\x80p", "\xed\x80p"),
        (b"\xf9\x80\x80\x80\x80", "\U00040000\x80"),  # D8C0 DC00 0080
        (b"\xc1\x80", "\xc1\x80"),
        (b"\xed\xa0\xbd", "\ud83d"),
        (b"\xed\xa0\xbd\xed\xb0\x8c", "\U0001f40c"),
        (b"\xff\xff\xff\xff", "\xff\xff\xff\xff"),
        (b"\xff\x9e", "\xff\x9e"),
    ],
)
def test_utf8_that_the_player_was_seen_to_read(data: bytes, text: str) -> None:
    assert charsets.utf8_text(data) == text
    assert charsets.decode_utf8(data) == text.partition("\0")[0]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"\xe0\x9f\xbf", "\xe0\x9f\xbf"),
        (b"\xe0\xa0\x80", "\u0800"),
        (b"\xf0\x8f\xbf\xbf", "\xf0\x8f\xbf\xbf"),
        (b"\xf8\x8f\xbf\xbf", "\xf8\x8f\xbf\xbf"),
        (b"\xf8\x90\x80\x80", "\U00010000"),
        (b"\xfc\x80\x80\x80\x80\x80", "\U00100000\x80\x80"),
        (b"\xf4\x8f\xbf\xbf", "\U0010ffff"),
        (b"\xf4\x90\x80\x80", "\U00010000"),
        (b"\xf5\x80\x80\x80", "\U00040000"),
        (b"\xff\xbf\xbf\xbf", "\U000fffff"),
        (b"\xed\xb0\x8c\xed\xa0\xbd", "\udc0c\ud83d"),
        (b"\xed\xa0\xbd\xf0\x9f\x98\x80", "\ud83d\U0001f600"),
        (b"\xed\xa0\xbda\xed\xb0\x8c", "\ud83da\udc0c"),
        (b"\xed\xa0\xbd\xff\xed\xb0\x8c", "\ud83d\xff\udc0c"),
    ],
)
def test_utf8_at_the_edges_of_the_players_rule(data: bytes, text: str) -> None:
    assert charsets.utf8_text(data) == text


@pytest.mark.parametrize(
    "pattern", [b"\xff", b"\xffa", b"\xe2\x82", b"\xed\xa0\xbd", b"\xf9\x80\x80\x80", b"\xc3\xa9\xff"]
)
def test_malformed_utf8_takes_no_more_memory_than_the_texts_it_goes_through(pattern: bytes) -> None:
    data = pattern * (300_000 // len(pattern))
    tracemalloc.start()
    try:
        text = charsets.utf8_text(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 16 * len(data)
    assert text == charsets.utf8_text(pattern) * (300_000 // len(pattern))


def test_half_a_surrogate_pair_can_be_written() -> None:
    assert charsets.encode_utf8("a\ud800") == b"a\xed\xa0\x80"


@pytest.mark.parametrize("encode", [charsets.encode_utf8, lambda text: charsets.encode(text, "utf-8")])
def test_a_pair_that_python_keeps_apart_is_written_as_one_character(encode: Callable[[str], bytes]) -> None:
    assert encode("\ud83d\udc0c\ud83d") == "🐌".encode() + b"\xed\xa0\xbd"


@pytest.mark.parametrize(
    ("char_set", "text", "data"),
    [
        ("unicode", "aé\U0001f600", b"a\0\xe9\0\x3d\xd8\x00\xde"),
        ("unicodeFFFE", "aé", b"\0a\0\xe9"),
        ("unicode", "\ud800", b"\x00\xd8"),
        ("shift_jis", "日本", b"\x93\xfa\x96\x7b"),
        ("iso-8859-1", "é", b"\xe9"),
        ("utf-8", "é", b"\xc3\xa9"),
    ],
)
def test_texts_there_and_back(char_set: str, text: str, data: bytes) -> None:
    codec = charsets.codec_for(char_set)
    assert charsets.encode(text, codec) == data
    assert charsets.decode(data, codec) == text


def test_what_a_character_set_lacks_is_a_question_mark() -> None:
    assert charsets.encode("a€b", "ascii") == b"a?b"


@pytest.mark.parametrize(
    ("codec", "data", "text"),
    [
        ("utf-16-le", b"a\0\0\0b\0", "a"),
        ("utf-16-le", b"a\0b", "a"),
        ("latin-1", b"a\0b", "a"),
        ("utf-8", b"a\0\xff", "a"),
    ],
)
def test_a_text_ends_at_its_first_nul(codec: str, data: bytes, text: str) -> None:
    assert charsets.decode(data, codec) == text

"""AIR's names of character sets, and UTF-8 as AIR reads and writes it. Malformed texts never raise here."""

from __future__ import annotations

import codecs
import locale
import re

from ..checks import as_string

__all__ = ["codec_for", "decode", "decode_utf8", "encode", "encode_utf8"]

_NAMES: dict[str, str] = {
    "utf-8": "utf-8 unicode-1-1-utf-8 unicode-2-0-utf-8 x-unicode-2-0-utf-8",
    "utf-16-le": "unicode utf-16 utf-16le",
    "utf-16-be": "unicodefffe utf-16be",
    "utf-7": "utf-7 csunicode11utf7 unicode-1-1-utf-7 x-unicode-2-0-utf-7",
    "ascii": "us-ascii ascii ansi_x3.4-1968 ansi_x3.4-1986 cp367 csascii ibm367 iso_646.irv:1991 iso646-us iso-ir-6us",
    "latin-1": "iso-8859-1 cp819 csiso latin1 ibm819 iso_8859-1 iso_8859-1:1987 iso8859-1 iso-ir-100 l1 csisolatin1",
    "iso8859-2": "iso-8859-2 csisolatin2 iso_8859-2 iso_8859-2:1987 iso8859-2 iso-ir-101 l2 latin2",
    "iso8859-3": "iso-8859-3 csisolatin3 iso_8859-3 iso_8859-3:1988 iso-ir-109 l3 latin3",
    "iso8859-4": "iso-8859-4 csisolatin4 iso_8859-4 iso_8859-4:1988 iso-ir-110 l4 latin4",
    "iso8859-5": "iso-8859-5 csisolatincyrillic cyrillic iso_8859-5 iso_8859-5:1988 iso-ir-144",
    "iso8859-6": "iso-8859-6 arabic csisolatinarabic ecma-114 iso_8859-6 iso_8859-6:1987 iso-ir-127 asmo-708",
    "iso8859-7": "iso-8859-7 csisolatingreek ecma-118 elot_928 greek greek8 iso_8859-7 iso_8859-7:1987 iso-ir-126",
    "iso8859-8": (
        "iso-8859-8 csisolatinhebrew hebrew iso_8859-8 iso_8859-8:1988 iso-ir-138 visual"
        " iso-8859-8-i iso_8859-8-i logical"
    ),
    "iso8859-9": "iso-8859-9 csisolatin5 iso_8859-9 iso_8859-9:1989 iso-ir-148 l5 latin5",
    "iso8859-13": "iso-8859-13",
    "iso8859-15": "iso-8859-15 csisolatin9 iso_8859-15 l9 latin9",
    "cp874": "windows-874 dos-874 iso-8859-11 tis-620",
    "cp1250": "windows-1250 cp1250 x-cp1250",
    "cp1251": "windows-1251 cp1251 x-cp1251",
    "cp1252": "windows-1252 cp1252 x-ansi",
    "cp1253": "windows-1253 cp1253",
    "cp1254": "windows-1254 cp1254",
    "cp1255": "windows-1255 cp1255",
    "cp1256": "windows-1256 cp1256",
    "cp1257": "windows-1257 cp1257",
    "cp1258": "windows-1258 cp1258",
    "cp037": "ibm037 cp037 ebcdic-cp-us",
    "cp437": "ibm437 cp437 437 cspc8 codepage437",
    "cp500": "ibm500 cp500",
    "cp720": "dos-720",
    "cp737": "ibm737",
    "cp775": "ibm775",
    "cp850": "ibm850 cp850",
    "cp852": "ibm852 cp852",
    "cp857": "ibm857 cp857",
    "cp861": "ibm861 cp861",
    "cp862": "dos-862 ibm862 cp862",
    "cp864": "ibm864 cp864",
    "cp866": "cp866 ibm866",
    "cp869": "ibm869 cp869",
    "koi8-r": "koi8-r cskoi8r koi koi8 koi8r",
    "koi8-u": "koi8-u koi8-ru",
    "mac-roman": "macintosh",
    "mac-cyrillic": "x-mac-cyrillic",
    "mac-greek": "x-mac-greek",
    "mac-iceland": "x-mac-icelandic",
    "mac-latin2": "x-mac-ce",
    "mac-turkish": "x-mac-turkish",
    "cp932": "shift_jis csshiftjis cswindows31j ms_kanji shift-jis x-ms-cp932 x-sjis x-mac-japanese",
    "euc-jp": "euc-jp cseucpkdfmtjapanese extended_unix_code_packed_format_for_japanese x-euc x-euc-jp",
    "iso2022-jp": "iso-2022-jp csiso2022jp",
    "gbk": (
        "gb2312 gbk chinese cn-gb csgb2312 csgb231280 csiso58gb231280 gb_2312-80 gb231280 gb2312-80 iso-ir-58"
        " euc-cn x-euc-cn x-mac-chinesesimp"
    ),
    "gb18030": "gb18030",
    "hz": "hz-gb-2312",
    "big5": "big5 cn-big5 csbig5 x-x-big5 x-mac-chinesetrad",
    "cp949": (
        "ks_c_5601-1987 csksc56011987 iso-ir-149 korean ks_c_5601 ks_c_5601_1987 ks_c_5601-1989 ksc_5601 ksc5601"
        " x-mac-korean"
    ),
    "euc-kr": "euc-kr cseuckr",
    "iso2022-kr": "iso-2022-kr csiso2022kr",
    "johab": "johab",
}

_CODECS: dict[str, str] = {name: codec for codec, names in _NAMES.items() for name in names.split()}

_BOM = b"\xef\xbb\xbf"
_AS_THE_PLAYER = "serversocket.as-the-player"

# Runs of bytes that begin no sequence of the player's: bytes that are not lead bytes, lead bytes with too few
# continuation bytes after them, and lead bytes of overlong forms. The player expects three continuation bytes after any
# byte from F0 on, and takes the low three bits of that byte.
_NO_SEQUENCES = re.compile(
    rb"(?:"
    rb"[\x00-\xc1]++"
    rb"|[\xc2-\xdf](?![\x80-\xbf])"
    rb"|[\xe0-\xef](?![\x80-\xbf]{2})|\xe0(?=[\x80-\x9f])"
    rb"|[\xf0-\xff](?![\x80-\xbf]{3})|[\xf0\xf8](?=[\x80-\x8f])"
    rb")++"
)
_SURROGATES = re.compile(rb"(?:\xed[\xa0-\xbf][\x80-\xbf])++")


def _as_the_player(error: UnicodeError) -> tuple[str, int]:
    """Decodes what Python considers malformed, as much as possible at once; a codec error handler."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    data, start = error.object, error.start
    if found := _NO_SEQUENCES.match(data, start):
        return found[0].decode("latin-1"), found.end()
    if found := _SURROGATES.match(data, start):
        return found[0].decode("utf-8", "surrogatepass"), found.end()
    # Beyond U+10FFFF: each of the two surrogates keeps its ten low bits.
    lead, *rest = data[start : start + 4]
    code = lead & 0x07
    for byte in rest:
        code = code << 6 | byte & 0x3F
    return chr(0x10000 + (code - 0x10000 & 0xFFFFF)), start + 4


codecs.register_error(_AS_THE_PLAYER, _as_the_player)


def codec_for(char_set: object) -> str:
    """Returns Python's name for a character set of AIR; the system's code page for a name that AIR does not know.

    Args:
        char_set: AIR's name, in upper or lower case.

    Raises:
        TypeError: It is `None` (#2007) or not a string.

    Example:
        >>> codec_for("shift-jis"), codec_for("unicodeFFFE")
        ('cp932', 'utf-16-be')
    """
    return _CODECS.get(as_string("char_set", char_set).strip().lower()) or locale.getencoding()


def decode(data: bytes, codec: str) -> str:
    """Returns the text up to its first NUL; `codec` comes from `codec_for`."""
    if codecs.lookup(codec).name == "utf-8":
        return decode_utf8(data)
    if codec.startswith("utf-16"):
        text = data[: len(data) & ~1].decode(codec, "surrogatepass")
    else:
        text = data.decode(codec, "replace")
    return text.partition("\0")[0]


def encode(text: str, codec: str) -> bytes:
    """Returns the bytes of a text; characters missing from the set become question marks. `codec`: see `codec_for`."""
    if codecs.lookup(codec).name == "utf-8":
        return encode_utf8(text)
    return text.encode(codec, "surrogatepass" if codec.startswith("utf-16") else "replace")


def decode_utf8(data: bytes) -> str:
    """Decodes UTF-8 like ``readUTFBytes``: as `utf8_text`, up to the first NUL.

    Example:
        >>> decode_utf8(b"caf\\xe9\\x00rest")
        'café'
    """
    return utf8_text(data.partition(b"\0")[0])


def utf8_text(data: bytes) -> str:
    """Decodes UTF-8 like ``ByteArray.toString``, NULs included.

    A byte order mark is skipped. Surrogates are decoded, and a pair of them becomes one character. A byte from F0 on
    begins a sequence of four bytes, of whose character 20 bits count. The bytes of malformed or overlong sequences
    become the characters U+0080 to U+00FF.

    Example:
        >>> utf8_text(b"\\xed\\xa0\\xbd\\xed\\xb0\\x8c"), utf8_text(b"\\xc1\\x80")
        ('🐌', 'Á\\x80')
    """
    data = data.removeprefix(_BOM)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return _in_pairs(data.decode("utf-8", _AS_THE_PLAYER))


def encode_utf8(text: str) -> bytes:
    """Encodes UTF-8; a lone surrogate, which ActionScript's strings may hold too, becomes three bytes."""
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError:
        return _in_pairs(text).encode("utf-8", "surrogatepass")


def _in_pairs(text: str) -> str:
    """Returns the text with surrogate pairs combined into one character each, as in ActionScript's strings."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")

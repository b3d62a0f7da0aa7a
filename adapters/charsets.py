"""Bytes of a mail as text: what charset labels mean in practice, and which are refused.

Source: the WHATWG Encoding Standard for labels that stand for more than they say (ISO-8859-1 is Windows-1252, GB2312 is
GB18030, Shift_JIS is Windows-31J). UTF-7 is refused as there: its text looks harmless until it is decoded.
"""

import codecs
import re
from contextlib import suppress
from functools import lru_cache
from typing import Final

_MEANT: Final = {
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "iso8859-9": "cp1254",
    "iso8859-11": "cp874",
    "tis-620": "cp874",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "hz": "hz",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
}
"""Python's name of a label's codec -> the codec that is tried first."""
_LABELS: Final = {
    "ks_c_5601-1987": "cp949",
    "x-sjis": "cp932",
    "x-gbk": "gb18030",
    "x-euc-jp": "euc_jp",
    "iso-8859-8-i": "iso8859-8",
    "iso-8859-8-e": "iso8859-8",
    "iso-2022-jp": "iso2022_jp_ext",
    "cp-850": "cp850",
    "x-mac-roman": "mac_roman",
    "macintosh": "mac_roman",
    "unicode-1-1-utf-8": "utf-8",
    "utf8mb4": "utf-8",
    "windows-31j": "cp932",
    "windows-874": "cp874",
}
# Python knows codecs that are no charsets (punycode, unicode_escape, idna), some of them slow on hostile text.
_TEXT: Final = re.compile(
    r"(?:ascii|utf-(?:8|16|32)\S*|iso\S*|cp\d+|koi8\S*|mac\S*|big5\S*|euc\S*|gb\S+|hz|shift\S*|johab|kz1048|ptcp154|tis-620)"
)


@lru_cache(maxsize=256)
def codec_of(charset: str) -> str | None:
    """The codec that a label means; None for unknown labels and those that are refused."""
    label = charset.strip().strip("'\"").lower()
    label = _LABELS.get(label, label)
    try:
        name = codecs.lookup(label).name
    except (LookupError, ValueError):
        return None
    return _MEANT.get(name, name) if _TEXT.fullmatch(name) else None


def in_charset(raw: bytes, charset: str | None) -> str:
    """Bytes as text: in the charset told where it fits, else UTF-8 (also a damaged one), else Windows-1252."""
    codec = codec_of(charset) if charset else None
    if codec is not None and codec.startswith("iso2022"):  # seven bits: what is odd in it is ASCII to any other
        return raw.decode(codec, "replace")
    # Bytes of UTF-8 fit Windows-1252 too, and are often called so: it comes last.
    for name in (codec, "utf-8"):
        if name is not None and name != "cp1252":
            with suppress(LookupError, ValueError):
                return raw.decode(name).removeprefix("\ufeff")
    if codec in {None, "utf-8"} and _is_damaged_utf8(text := raw.decode("utf-8", "replace")):
        return text
    return raw.decode(codec if codec not in {None, "utf-8"} else "cp1252", "replace")


def _is_damaged_utf8(text: str) -> bool:
    """Whether only a few letters are lost, as in a mail that was cut."""
    bad = text.count("\ufffd")
    return bad < sum(letter > "\x7f" for letter in text[:100_000]) - bad

"""The person that a Japanese or Chinese reply points to."""

import re
from typing import Final

from features.replies.reply_words import words

_ZH: Final = (
    re.compile(words("people_cjk", "zh")),
    re.compile(words("people_cjk", "zh_2")),
    re.compile(words("people_cjk", "zh_3")),
)
_KANJI: Final = r"[一-鿿々ヶ]"
_JA_NAME: Final = words("people_cjk", "ja_name")
_JA_DUTY: Final = (
    r"(?:担当|引き?継|承|詳し|務め|対応|代理|代行|窓口|決め|管轄|責任者|受け持"
    r"|見て|仕切|決裁|お受け|ご案内|お伺い|拝見|判断|まとめて|発注|所管|やって|持って)"
)
_JA: Final = (
    re.compile(
        rf"(?:の|は|、|。|\n|^|：|:|・|部|課|係|室|長|\s|（|\()(?P<name>{_JA_NAME})(?:様|さん|さま|氏|殿|くん|君)"
    ),
    re.compile(words("people_cjk", "ja")),
    re.compile(words("people_cjk", "ja_2")),
    re.compile(
        rf"(?:は|、|担当者?は|窓口は|後任は|責任者は|代理は|：|:)\s*(?P<name>{_JA_NAME})(?:です|なので|になります|でございます|となります|[（(]|、|。|$)"
    ),
)
_NOT_NAMES: Final = re.compile(words("people_cjk", "not_names"))


def find_cjk_name(folded: str, text: str, language: str, intent: str) -> str | None:
    """The name as written, without an honorific, or None."""
    del intent
    for pattern in _ZH if language == "zh" else _JA:
        match = pattern.search(folded)
        while match is not None:
            name = text[match.start("name") : match.end("name")].strip()
            if name and not _NOT_NAMES.search(name):
                return name
            match = pattern.search(folded, match.start("name") + 1)
    return None

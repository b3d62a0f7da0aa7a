"""The words that tell people, times and signals in replies, from `data/reply_words.toml`."""

import tomllib
from collections.abc import Mapping
from functools import lru_cache
from importlib.resources import files


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads(files("data").joinpath("reply_words.toml").read_text(encoding="utf-8"))


def words(section: str, name: str) -> str:
    """A regular expression over folded text; the file breaks it into lines only to be read."""
    return _table()[section][name].replace("\n", "")

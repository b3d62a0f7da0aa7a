"""JSON documents larger than memory: top-level values one after the other, of a large one the items of its lists."""

from collections.abc import Callable, Iterator
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final, NamedTuple

_WHOLE: Final = 4 * 2**20
"""Characters up to which a value is taken whole; a page of an API has some 100 to 1,000 kB."""
_LONGEST: Final = 64 * 2**20
"""Characters of one item at most."""
_KEPT: Final = 2**16
_DECODER: Final = JSONDecoder(strict=False)
_BLANK: Final = " \t\r\n"


class Damaged(NamedTuple):
    """What could not be read: why, and the first bytes of it."""

    why: str
    raw: bytes


Found = tuple[str | None, Any] | Damaged


def values_of(read: Callable[[], str]) -> Iterator[Found]:
    """(list name, value) of every value: None and the value where it was taken whole, else the list it was an item of.

    `read` gives the next part of the text, empty at its end. After a damaged value reading goes on at the next line that
    begins with a brace.
    """
    text = _Buffer(read)
    while text.skip(_BLANK):
        found = text.decode(_WHOLE)
        if not isinstance(found, Damaged):
            yield None, found[0]
        elif text.rest() >= _WHOLE and text.peek() in "[{":
            yield from _items(text)
        else:
            yield found
            if not text.resync():
                return


def _items(text: "_Buffer") -> Iterator[Found]:
    """The items of the lists in a large array or object; its other fields are passed over."""
    if text.take() == "[":
        yield from _list(text, "")
        return
    while text.skip(_BLANK + ",") and text.peek() != "}":
        name = text.decode(_LONGEST)
        if isinstance(name, Damaged) or not text.skip(_BLANK + ":"):
            yield name if isinstance(name, Damaged) else Damaged("cut off", b"")
            text.clear()
            return
        if text.peek() == "[":
            text.take()
            yield from _list(text, str(name[0]))
        elif isinstance(passed := text.decode(_LONGEST), Damaged):
            yield passed
            text.clear()
            return
    text.take()


def _list(text: "_Buffer", name: str) -> Iterator[Found]:
    while text.skip(_BLANK + ",") and text.peek() != "]":
        found = text.decode(_LONGEST)
        if isinstance(found, Damaged):
            yield found
            text.clear()
            return
        yield name, found[0]
    if not text.rest():
        yield Damaged("the list is cut off", b"")
    text.take()


class _Buffer:
    """The part of a text that is at hand."""

    def __init__(self, read: Callable[[], str]) -> None:
        self._read = read
        self._text = ""
        self._at = 0
        self._ended = False

    def rest(self) -> int:
        """Characters at hand."""
        return len(self._text) - self._at

    def fill(self) -> bool:
        """Reads on; False at the end."""
        part = "" if self._ended else self._read()
        self._ended = not part
        self._text = self._text[self._at :] + part
        self._at = 0
        return bool(part)

    def skip(self, signs: str) -> bool:
        """Moves to the next other sign; False where there is none."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in signs:
                    return True
                self._at += 1
            if not self.fill():
                return False

    def peek(self) -> str:
        """The next sign; empty at the end."""
        return self._text[self._at : self._at + 1]

    def take(self) -> str:
        """The next sign, which is passed."""
        sign = self.peek()
        self._at += len(sign)
        return sign

    def decode(self, most: int) -> tuple[Any] | Damaged:
        """The value that begins here, passed; damaged where it does not end within `most` characters."""
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except (JSONDecodeError, RecursionError, ValueError) as error:
                if self.rest() < most and self.fill():
                    continue
                return Damaged(str(error)[:200], self._raw())
            if end == len(self._text) and self._text[end - 1] not in '}]"' and self.fill():
                continue  # a number may go on
            self._at = end
            return (value,)

    def resync(self) -> bool:
        """Moves to the next line that begins with a brace."""
        while True:
            place = self._text.find("\n{", self._at)
            if place >= 0:
                self._at = place + 1
                return True
            self._at = max(self._at, len(self._text) - 1)
            if not self.fill():
                return False

    def clear(self) -> None:
        """Passes all that is left."""
        while self.fill():
            self._at = len(self._text)
        self._at = len(self._text)

    def _raw(self) -> bytes:
        return self._text[self._at : self._at + _KEPT].encode("utf-8", "surrogatepass")

"""The mail inside an opaque S/MIME signature (RFC 8551 section 3.5.2), as Outlook sends it; the signature is not checked.

A SignedData of RFC 5652 in BER: ContentInfo { signedData, [0] { version, digests, { data, [0] OCTET STRING } ... } }.
"""

from collections.abc import Iterator
from typing import Final, NamedTuple

_SIGNED_DATA: Final = bytes.fromhex("2a864886f70d010702")
_SEQUENCE: Final = 0x30
_OCTETS: Final = 0x04
_CONSTRUCTED: Final = 0x20
_EXPLICIT: Final = 0xA0
_DEEP: Final = 20
_MOST_ELEMENTS: Final = 500_000
"""Pieces of a mail are mostly 1,000 bytes or more; a look at one costs a microsecond."""


class _Element(NamedTuple):
    tag: int
    start: int
    end: int
    next: int


def signed_content(raw: bytes) -> bytes | None:
    """What was signed; None where the bytes are no SignedData with its content inside (encrypted, or detached)."""
    reader = _Reader(raw)
    try:
        outer = list(reader.children(reader.element(0, 0)))
        if raw[outer[0].start : outer[0].end] != _SIGNED_DATA or outer[1].tag != _EXPLICIT:
            return None
        signed = next(reader.children(outer[1]))
        held = next(one for one in reader.children(signed) if one.tag == _SEQUENCE)
        parts = list(reader.children(held))
        if len(parts) < 2 or parts[1].tag != _EXPLICIT:
            return None
        return b"".join(reader.octets(next(reader.children(parts[1])), 0))
    except (IndexError, ValueError, StopIteration):
        return None


class _Reader:
    """Elements of BER in some bytes; gives up on those with absurdly many."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw
        self._left = _MOST_ELEMENTS

    def element(self, at: int, depth: int) -> _Element:
        """The element at a place; of indefinite length it ends at two zero bytes.

        Raises:
            ValueError: not BER.
        """
        raw = self._raw
        self._left -= 1
        tag, length = raw[at], raw[at + 1]
        start = at + 2
        if length == 0x80:
            end = start
            while raw[end : end + 2] != b"\0\0":
                if depth > _DEEP or self._left < 0 or end >= len(raw):
                    raise ValueError("no end of an element")
                end = self.element(end, depth + 1).next
            return _Element(tag, start, end, end + 2)
        if length > 0x80:
            count = length & 0x7F
            length = int.from_bytes(raw[start : start + count])
            start += count
        if start + length > len(raw) or self._left < 0:
            raise ValueError("an element ends behind the end")
        return _Element(tag, start, start + length, start + length)

    def children(self, element: _Element) -> Iterator[_Element]:
        """The elements inside of one."""
        at = element.start
        while at < element.end:
            child = self.element(at, 0)
            yield child
            at = child.next

    def octets(self, element: _Element, depth: int) -> Iterator[bytes]:
        """The bytes of an octet string, which may come in pieces."""
        if element.tag == _OCTETS:
            yield self._raw[element.start : element.end]
        elif element.tag == _OCTETS | _CONSTRUCTED and depth < _DEEP:
            for child in self.children(element):
                yield from self.octets(child, depth + 1)
        else:
            raise ValueError("no octet string")

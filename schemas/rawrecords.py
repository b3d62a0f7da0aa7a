"""Raw requests as bytes in the log: MessagePack, compressed by Zstandard when large; the first byte tells the form."""

import threading
from typing import Final

import msgspec
import zstandard

from schemas.events import RawRequest

_PLAIN: Final = b"\x00"
_ZSTD: Final = b"\x01"
ERASED: Final = b"\x02"
"""The whole record of a request that was erased at the wish of a person in it: it holds nothing, and its facts stay."""
_COMPRESS_FROM: Final = 1024
"""Bytes: smaller records gain nothing worth the time."""
_LARGEST: Final = 256 * 2**20

_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(RawRequest)
_LOCAL: Final = threading.local()


def pack(request: RawRequest) -> bytes:
    """The bytes of a request."""
    plain = _ENCODER.encode(request)
    if len(plain) < _COMPRESS_FROM:
        return _PLAIN + plain
    compressor = getattr(_LOCAL, "compressor", None)
    if compressor is None:
        compressor = _LOCAL.compressor = zstandard.ZstdCompressor(level=1)
    return bytes(_ZSTD + compressor.compress(plain))


def unpack(record: bytes) -> RawRequest:
    """The request of some bytes.

    Raises:
        ValueError: not bytes that `pack` made.
    """
    form, rest = record[:1], record[1:]
    if form == _ZSTD:
        try:
            rest = zstandard.ZstdDecompressor().decompress(rest, max_output_size=_LARGEST)
        except zstandard.ZstdError as error:
            raise ValueError(f"raw record cannot be decompressed: {error}") from None
    elif form != _PLAIN:
        raise ValueError(f"raw record of unknown form {form!r}")
    return _DECODER.decode(rest)

"""Derived ids: never random, never from the wall clock, so a replay makes the same row; in Python and as DuckDB SQL.

Both forms give the same bits for the same input. `sql_uuid7` and `sql_external_id` write plain expressions for views,
which must not depend on macros; `SQL_MACROS` defines `outpulse_uuid7(ms, key)` and `outpulse_external_id(kind, txt)`
for interactive use. A NULL argument gives NULL.
"""

import hashlib
import re
import uuid
from typing import Final

NAMESPACE: Final = uuid.UUID("e3f45f36-e90f-5b7b-8996-8f5cf095a272")
"""The namespace of all our UUIDv5 (itself that of `outpulse` under the URL namespace); a change changes all ids."""

_MS_MASK: Final = 2**48 - 1
_UUID_PATTERN: Final = "[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}"
_IS_UUID: Final = re.compile(_UUID_PATTERN)
# The variant of RFC 9562 (section 4.1): the top two bits of the nibble become 10.
_NIBBLES, _VARIANTS = "0123456789abcdef", "89ab89ab89ab89ab"
_TO_VARIANT: Final = str.maketrans(_NIBBLES, _VARIANTS)


def uuid7_of(event_time_ms: int, natural_key: str) -> uuid.UUID:
    """A v7-shaped UUID: 48 bits of milliseconds since 1970, and 74 bits of the SHA-256 of the natural key's UTF-8.

    It sorts by event time. Milliseconds beyond 48 bits (the year 10889) or before 1970 wrap.

    >>> uuid7_of(1767607200123, "sendgrid|abc")
    UUID('019b8d99-697b-7386-9ebb-3f5b26efa0e6')

    Source: RFC 9562, section 5.7.
    """
    digest = hashlib.sha256(natural_key.encode()).hexdigest()
    variant = digest[3].translate(_TO_VARIANT)
    return uuid.UUID(f"{event_time_ms & _MS_MASK:012x}7{digest[:3]}{variant}{digest[4:19]}")


def external_id(kind: str, text: str) -> uuid.UUID:
    """The UUID of an id that came from outside: itself when it is one, else UUIDv5 of `kind:text`.

    Only the canonical 36 characters (8-4-4-4-12 hexadecimal digits, any case) are a UUID; braces, `urn:uuid:`, missing
    dashes or spaces make it plain text. `kind` names what is identified (`campaign`, `delivery`, `experiment`).

    >>> external_id("campaign", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8")
    UUID('6ba7b810-9dad-11d1-80b4-00c04fd430c8')
    """
    if _IS_UUID.fullmatch(text):
        return uuid.UUID(text)
    return uuid.uuid5(NAMESPACE, f"{kind}:{text}")


def sql_uuid7(ms_expr: str, key_expr: str) -> str:
    """`uuid7_of` as a DuckDB expression over a BIGINT and a VARCHAR expression."""
    digest = f"sha256({key_expr})"
    variant = f"translate(substr({digest}, 4, 1), '{_NIBBLES}', '{_VARIANTS}')"
    head = f"format('{{:012x}}', ({ms_expr})::BIGINT & {_MS_MASK})"
    return f"({head} || '7' || substr({digest}, 1, 3) || {variant} || substr({digest}, 5, 15))::UUID"


def sql_external_id(kind: str, expr: str) -> str:
    """`external_id` as a DuckDB expression over a VARCHAR expression; `kind` is a plain word."""
    quoted = kind.replace("'", "''")
    return _external(f"'{quoted}'", f"({expr})")


def _external(kind_expr: str, expr: str) -> str:
    """The UUIDv5 (RFC 9562, section 5.5) of SQL expressions, or the text itself."""
    # DuckDB's VARCHAR -> BLOB cast refuses non-ASCII text, encode() gives its UTF-8.
    digest = f"sha1(unhex('{NAMESPACE.hex}') || encode({kind_expr} || ':' || {expr}))"
    variant = f"translate(substr({digest}, 17, 1), '{_NIBBLES}', '{_VARIANTS}')"
    named = (
        f"(substr({digest}, 1, 12) || '5' || substr({digest}, 14, 3) || {variant} || substr({digest}, 18, 15))::UUID"
    )
    # The length first, as it is cheap; TRY_CAST, since a branch may be evaluated for rows that do not take it.
    is_uuid = f"strlen({expr}) = 36 AND regexp_full_match({expr}, '{_UUID_PATTERN}')"
    return f"(CASE WHEN {is_uuid} THEN TRY_CAST({expr} AS UUID) ELSE {named} END)"


SQL_MACROS: Final = (
    f"CREATE OR REPLACE MACRO outpulse_uuid7(ms, key) AS {sql_uuid7('ms', 'key')};\n"
    f"CREATE OR REPLACE MACRO outpulse_external_id(kind, txt) AS {_external('kind', 'txt')};\n"
)
"""Statements that define the macros; they hold for the connection's current schema."""

"""Damaged bodies by the shape of what they hold: JSON, JSON inside texts, forms, mails; what bytes alone rarely reach.

Every change draws from the given `random.Random` only, so that a seed repeats it.
"""

import json
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import parse_qsl, urlencode

_MARK = "\ue000"
"""Stands before a number in a text that is replaced by the raw JSON of that number below, once all is written."""
_RAW = (
    *(
        '"\\ud800"',
        '"\\udc00\\ud800"',
        '"a\\u0000b"',
        '"\\u0000"',
        '"\ufeff"',
        '"é\u202e\U0001f600"',
        '"' + "x" * 5000 + '"',
    ),
    *('"utf-7"', '"unicode_escape"', '"punycode"', '"idna"', '"\\\\ud800 +2AA-"'),
    *("[" * 400 + "]" * 400, '{"a":' * 400 + "0" + "}" * 400, "[" * 20_000, '"[[[[{"'),
    *("1e999", "-1e999", "1e-999", "-0", "-0.0", "NaN", "Infinity", "9" * 400, "-" + "9" * 30, "9" * 5000, "1.7e9"),
    *("9007199254740993", "18446744073709551616", "1767607140", "1767607140123", '"1767607140"', '"1767607140.9"'),
    *('"2026-01-05T09:59:00Z"', '"2026-01-05 09:59:00"', '"0000-00-00T00:00:00Z"', '"9999-12-31T23:59:59.9999999Z"'),
    *(
        '"2026-01-05T09:59:00+99:99"',
        '"-62135596800"',
        '"1e400"',
        '"nan"',
        '"inf"',
        '"1_000"',
        '"١٧٦٧٦٠٧١٤٠"',
        "946684799",
    ),
    *(
        "3471292800",
        "0",
        "1",
        "-1",
        "true",
        "false",
        "null",
        '""',
        '" "',
        "[]",
        "{}",
        "[[]]",
        "[null]",
        "[{}]",
        "[1,2]",
    ),
    *('{"":""}', '{"a":{"b":[{}]}}', '"{}"', '"[]"', '"{\\"campaign_id\\":17}"', '"<>"', '"<<a@b>>"', '"a@b.example"'),
    *(
        '"Ada <ada@example.com>"',
        '"<ada@example.com"',
        '"550 5.7.1 x"',
        '"4.2.2"',
        '"4"',
        '"Mozilla/5.0"',
        '"\\n\\r\\t"',
    ),
)
_KEYS = (
    "",
    "a",
    "event",
    "campaign_id",
    "contact_id",
    "__class__",
    "\x00",
    "é",
    "x" * 300,
    "type",
    "timestamp",
    "msys",
    "tags",
)
_CHUNKS = (
    *(b"\x00", b"\xff\xfe", b"\xed\xa0\x80", b"\xef\xbb\xbf", b"\r\n\r\n", b"\n", b'"', b"\\", b"]", b"}", b"{", b"["),
    *(b",", b"<", b"=?utf-8?q?=FF?=", b"=?x?b?A?=", b"%00", b"%ff", b"%", b"&", b"=", b";", b"--", b"0" * 50),
)
_LINES = (
    *(b"Content-Type: multipart/report; report-type=delivery-status; boundary=xx", b"Content-Type: multipart/mixed"),
    *(b"Content-Type: text/html; charset=utf-7", b"Content-Type: text/plain; charset*=x'y'z", b"Content-Type: message/rfc822"),
    *(b"Content-Type: message/delivery-status", b"Content-Transfer-Encoding: base64", b"Content-Type: x; boundary=\xff"),
    *(b"Content-Transfer-Encoding: quoted-printable", b"Content-Transfer-Encoding: x-uuencode", b"Date: Mon, 99 Jan 2026"),
    *(b"Content-Disposition: attachment; filename*=utf-8''%ff; filename*0=a", b"Subject: =?utf-8?b?////?= =?x-y?q?=?="),
    *(b'From: "<" <<a@b.example>, =?utf-8?q?=00?= <@>', b"References: <<>> <a@b> \xff", b"In-Reply-To:", b": x", b"\tfolded"),
    *(b"Final-Recipient: rfc822;", b"Action: failed", b"Status: 5.1.1", b"Feedback-Type: abuse", b"--xx", b"--xx--", b""),
    *(b"Content-Type: text/plain; charset=unicode_escape", b"Content-Type: text/plain; charset=punycode", b"\\ud800 +2AA-"),
    *(b"Date: Mon, 05 Jan 2026 10:59:00 +9999", b"Date: Mon, 05 Jan 99999999 10:59:00", b"<b><!--<style>"),
    b"From: mailer-daemon@x",
)  # fmt: skip
Value = Any


def mutated(raw: bytes, random: Random, donors: list[bytes], limit: int = 1 << 20) -> bytes:
    """The body changed once or a few times, at most `limit` bytes of it; `donors` are bodies to take pieces from."""
    for _ in range(random.choice((1, 1, 1, 2, 3, 6))):
        raw = random.choice(_WAYS)(raw, random, donors)[:limit]
    return raw


def _by_shape(raw: bytes, random: Random, donors: list[bytes]) -> bytes:
    """As JSON, else as a form, else as lines."""
    start = raw.lstrip()[:1]
    if start in {b"{", b"["} and (changed := _changed_json(raw, random, donors)) is not None:
        return changed
    if b"=" in raw and b"\n" not in raw:
        return _changed_form(raw, random, donors)
    return _changed_lines(raw, random, donors)


def _changed_json(raw: bytes, random: Random, donors: list[bytes]) -> bytes | None:
    try:
        value = json.loads(raw)
        donor = json.loads(random.choice(donors)) if donors and random.random() < 0.3 else value
    except (ValueError, RecursionError):
        return None
    try:
        text = json.dumps(_changed(value, random, donor), ensure_ascii=random.random() < 0.5, separators=(",", ":"))
    except (ValueError, RecursionError):
        return None
    if random.random() < 0.08:  # a key twice: the last one counts
        spots = [n for n, one in enumerate(text) if one == "{"]
        if spots:
            at = random.choice(spots) + 1
            text = f"{text[:at]}{json.dumps(random.choice(_KEYS))}:{random.choice(_RAW)},{text[at:]}".replace(",}", "}")
    for number, found in enumerate(_RAW):
        for written in (f'"{_MARK}{number}."', f'"\\ue000{number}."'):
            if written in text:
                text = text.replace(written, found)
    return text.encode("utf-8", "surrogatepass")


def _changed(value: Value, random: Random, donor: Value) -> Value:
    """A copy of the JSON value, changed somewhere."""
    if isinstance(value, dict) and value and random.random() < 0.8:
        return _changed_object(dict(value), random, donor)
    if isinstance(value, list) and value and random.random() < 0.85:
        return _changed_array(list(value), random, donor)
    if isinstance(value, str) and random.random() < 0.5:
        return _changed_text(value, random, donor)
    if random.random() < 0.15:
        return _any_inside(donor, random)
    return f"{_MARK}{random.randrange(len(_RAW))}."


def _changed_object(value: dict[str, Value], random: Random, donor: Value) -> Value:
    key, act = random.choice(list(value)), random.random()
    if act < 0.12:
        del value[key]
    elif act < 0.2:
        value[random.choice(_KEYS)] = value[key] if random.random() < 0.3 else _any_inside(donor, random)
    elif act < 0.26:
        value[random.choice(list(value))] = value[key]
    elif act < 0.3:
        value = {random.choice(_KEYS) if one == key else one: inner for one, inner in value.items()}
    else:
        value[key] = _changed(value[key], random, donor)
    return value


def _changed_array(value: list[Value], random: Random, donor: Value) -> Value:
    at, act = random.randrange(len(value)), random.random()
    if act < 0.1:
        del value[at]
    elif act < 0.2:
        value.insert(at, _any_inside(donor, random))
    elif act < 0.25:
        value = value * random.choice((2, 3, 20))
    elif act < 0.3:
        random.shuffle(value)
    elif act < 0.33:
        return value[at]
    else:
        value[at] = _changed(value[at], random, donor)
    return value


def _changed_text(value: str, random: Random, donor: Value) -> Value:
    """Text that holds JSON is changed inside, as SES, Brevo, Mailjet and Mailgun have it."""
    if value[:1] in {"{", "["}:
        try:
            return json.dumps(_changed(json.loads(value), random, donor))
        except (ValueError, RecursionError):
            pass
    raw = _by_bytes(value.encode("utf-8", "surrogatepass"), random, [])
    return raw.decode("utf-8", "surrogateescape" if random.random() < 0.5 else "replace")


def _any_inside(value: Value, random: Random) -> Value:
    """The value, or something at some depth of it."""
    while random.random() < 0.75 and isinstance(value, (dict, list)) and value:
        value = random.choice(list(value.values()) if isinstance(value, dict) else value)
    return value


def _changed_form(raw: bytes, random: Random, donors: list[bytes]) -> bytes:
    pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, encoding="latin-1")
    if not pairs:
        return _by_bytes(raw, random, donors)
    at, act = random.randrange(len(pairs)), random.random()
    if act < 0.1:
        del pairs[at]
    elif act < 0.2:
        pairs.append(random.choice(pairs))
    elif act < 0.25:
        pairs[at] = (random.choice(_KEYS), pairs[at][1])
    else:
        inner = _by_shape(pairs[at][1].encode("latin-1"), random, [])
        pairs[at] = (pairs[at][0], inner.decode("latin-1"))
    return urlencode(pairs, encoding="latin-1", errors="replace").encode()


def _changed_lines(raw: bytes, random: Random, donors: list[bytes]) -> bytes:
    lines = raw.split(b"\n")
    at, act = random.randrange(len(lines)), random.random()
    if act < 0.15:
        del lines[at]
    elif act < 0.3:
        lines.insert(at, random.choice(lines))
    elif act < 0.55:
        lines.insert(at, random.choice(_LINES))
    elif act < 0.65:
        lines[at] = random.choice(_LINES)
    elif act < 0.7 and donors:
        lines[at:at] = random.choice(donors).split(b"\n")
    else:
        lines[at] = _by_bytes(lines[at], random, donors)
    return b"\n".join(lines)


def _by_bytes(raw: bytes, random: Random, donors: list[bytes]) -> bytes:
    """A few bytes inserted, changed, doubled, cut out, or taken from another body."""
    at, act = random.randint(0, len(raw)), random.random()
    end = min(len(raw), at + random.choice((1, 2, 4, 16, 200)))
    if act < 0.3:
        return raw[:at] + random.choice(_CHUNKS) + raw[at:]
    if act < 0.5:
        return raw[:at] + random.randbytes(end - at) + raw[end:]
    if act < 0.6:
        return raw[:at] + raw[at:end] * random.choice((2, 3, 50)) + raw[end:]
    if act < 0.8:
        return raw[:at] + raw[end:]
    if act < 0.85:
        return raw[:at]
    other = random.choice(donors) if donors else raw
    return raw[:at] + other[random.randint(0, len(other)) :]


_WAYS: tuple[Callable[[bytes, Random, list[bytes]], bytes], ...] = (_by_shape, _by_shape, _by_shape, _by_bytes)


def stretched(raw: bytes, random: Random, size: int) -> bytes:
    """About `size` bytes: a piece of the body again and again, so that what takes more than its share of time shows."""
    at = random.randint(0, max(0, len(raw) - 1))
    piece = raw[at : at + random.choice((1, 1, 2, 5, 20, 100, len(raw)))] or b"<"
    return raw[:at] + piece * (max(0, size - len(raw)) // len(piece)) + raw[at:]

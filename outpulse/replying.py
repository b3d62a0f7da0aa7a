"""`outpulse replies classify` and `evaluate`: labelled or not, replies of a file through the model of the home."""

import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

import msgspec

from outpulse.home import Home
from outpulse.replaying import Progress
from schemas.decode import load_json
from schemas.failures import BadEvent, OutpulseError
from schemas.instants import from_epoch_ms, parse_ms

_BATCH: Final = 32
_FIGURES: Final = (
    "intent", "plain", "hard", "calibration_error", "sure_share", "sure_intent", "sentiment", "urgency",
    "urgency_within_one", "next_action", "language",
)  # fmt: skip
STANDARD: Final = "-"


class Line(NamedTuple):
    """A usable line: its number and the object."""

    number: int
    told: dict[str, Any]


class Lines:
    """The JSON objects of a file or of standard input; each other line becomes one line on stderr.

    `bad` counts those, `taken` the bytes that were read.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self.bad = 0
        self.taken = 0

    def read(self) -> Iterator[Line]:
        """Usable lines in order; blank ones are passed over.

        Raises:
            OutpulseError: the file cannot be read.
        """
        with ExitStack() as stack:
            stream = self._opened(stack)
            for number, raw in enumerate(stream, 1):
                self.taken += len(raw)
                found = self._object(number, raw) if raw.strip() else None
                if found is not None:
                    yield Line(number, found)

    def complain(self, number: int, why: str) -> None:
        """Says what is wrong with a line."""
        self.bad += 1
        print(f"line {number}: {' '.join(why.split())[:300]}", file=sys.stderr)  # noqa: T201 - for who called

    def _opened(self, stack: ExitStack) -> BinaryIO:
        if self._path == STANDARD:
            return sys.stdin.buffer
        try:
            return stack.enter_context(Path(self._path).open("rb"))
        except OSError as error:
            raise OutpulseError(f"{self._path} cannot be read: {error.strerror}") from None

    def _object(self, number: int, raw: bytes) -> dict[str, Any] | None:
        try:
            told = load_json(raw)
        except BadEvent as bad:
            self.complain(number, str(bad))
            return None
        if isinstance(told, dict):
            return told
        self.complain(number, f"a JSON {type(told).__name__}, valid is an object")
        return None


def size_of(path: str) -> int:
    """Bytes of a file, 0 for standard input."""
    return 0 if path == STANDARD or not Path(path).exists() else Path(path).stat().st_size


def run_classify(home: Home, path: str, output: Path | None) -> int:
    """`outpulse replies classify`: a line of output for each usable line, in order; 1 where no line was usable."""
    from flows.reply_models import active_model

    lines = Lines(path)
    model, version = active_model(home.path)
    done = 0
    with ExitStack() as stack:
        out = stack.enter_context(output.open("wb")) if output else sys.stdout.buffer
        progress = stack.enter_context(Progress("understanding", size_of(path)))
        for batch in _batches(lines):
            found = model.understand([reply for _, reply in batch])
            for (line, _), one in zip(batch, found, strict=True):
                out.write(msgspec.json.encode(_answer(line.told.get("id"), one, version)) + b"\n")
            out.flush()
            done += len(batch)
            progress.at(lines.taken)
    return 1 if lines.bad and not done else 0


def _batches(lines: Lines) -> Iterator[list[tuple[Line, Any]]]:
    batch: list[tuple[Line, Any]] = []
    for line in lines.read():
        try:
            batch.append((line, reply_input(line.told)))
        except ValueError as error:
            lines.complain(line.number, str(error))
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def reply_input(told: Mapping[str, Any]) -> Any:  # noqa: ANN401 - ReplyInput; its module is imported when used
    """A reply of a line as the model takes it.

    Raises:
        ValueError: with the first thing that is wrong.
    """
    from features.replies.understanding import ReplyInput

    if told.get("id") is None:
        raise ValueError("id missing")
    text, subject, headers, context = (told.get(name) for name in ("text", "subject", "headers", "context"))
    if text is not None and not isinstance(text, str):
        raise ValueError(f"text is {type(text).__name__}, valid is text")
    if headers is not None and not isinstance(headers, dict):
        raise ValueError(f"headers is {type(headers).__name__}, valid is an object of text")
    return ReplyInput(
        id=str(told["id"]),
        channel=str(told["channel"]) if told.get("channel") else None,
        subject=None if subject is None else str(subject),
        headers={str(name).lower(): str(value) for name, value in (headers or {}).items() if value is not None},
        received_at=_moment(told.get("received_at")),
        text=text or "",
        context=tuple(map(str, context)) if isinstance(context, list) else (),
    )


def _moment(told: object) -> datetime:
    if told is None or told == "":
        return datetime.now(UTC)
    try:
        return datetime.fromisoformat(from_epoch_ms(parse_ms(str(told))))
    except (ValueError, OverflowError):
        raise ValueError(f"received_at is {str(told)[:40]!r}, valid is RFC 3339 with a zone") from None


def _answer(name: object, found: Any, version: str) -> dict[str, Any]:  # noqa: ANN401 - Understood
    """One line of output, its fields in the order of the command line's contract."""
    from features.replies.routing import route
    from flows.reply_rows import extracted_of

    routed = route(found)
    return {
        "id": name,
        "language": found.language,
        "intent": found.intent,
        "confidence": round(found.confidence, 4),
        "sentiment_score": round(found.sentiment_score, 4),
        "urgency_level": found.urgency_level,
        "next_action": routed.next_action,
        "needs_human": routed.needs_human,
        "extracted": extracted_of(found),
        "model_version": version,
    }


def run_evaluate(home: Home, path: str, *, as_json: bool) -> int:
    """`outpulse replies evaluate`: scores of the home's model on labelled replies.

    Raises:
        OutpulseError: no line holds a labelled reply.
    """
    from features.replies.scores import score
    from flows.reply_models import active_model

    lines = Lines(path)
    model, version = active_model(home.path)
    labels: list[Mapping[str, Any]] = []
    found: list[Any] = []
    with Progress("understanding", size_of(path)) as progress:
        for batch in _batches(lines):
            labels += [line.told for line, _ in batch]
            found += model.understand([reply for _, reply in batch])
            progress.at(lines.taken)
    if not any(label.get("intent") for label in labels):
        raise OutpulseError(f"{path} holds no labelled reply; valid are lines as of `classify` with `intent` beside")
    _show(score(labels, found), version, as_json=as_json)
    return 0


def _show(scores: Any, version: str, *, as_json: bool) -> None:  # noqa: ANN401 - Scores
    from outpulse.printing import print_json, print_table

    rows = [{"what": "model", "figure": version}, {"what": "replies", "figure": scores.count}]
    rows += [{"what": name, "figure": _rounded(getattr(scores, name))} for name in _FIGURES]
    rows += [{"what": f"intent, {name}", "figure": _rounded(value)} for name, value in scores.languages.items()]
    rows += [{"what": f"intent, surest {share:.0%}", "figure": _rounded(v)} for share, v in scores.coverage.items()]
    for name, (precision, recall, count) in scores.intents.items():
        rows.append({"what": f"precision, {name}", "figure": _rounded(precision)})
        rows.append({"what": f"recall, {name} ({count})", "figure": _rounded(recall)})
    if as_json:
        print_json(rows)
    else:
        print_table(("what", "figure"), [(row["what"], row["figure"]) for row in rows])


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)

"""How well replies are understood: figures on labelled replies, for the benchmark and for `outpulse replies evaluate`."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from features.replies.understanding import INTENTS, URGENCY_LEVELS, Understood

_BINS: Final = 10
"""Bins of equal width for the expected calibration error, as Guo et al. 2017, "On Calibration", section 2."""
_CUT: Final = 0.2
COVERAGES: Final = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


@dataclass(frozen=True, slots=True)
class Scores:
    """Figures over labelled replies; shares are 0 to 1, None where nothing was labelled.

    `coverage` holds the accuracy of intents on the surest share of the replies; `confusion` counts (true, predicted).
    """

    count: int
    intent: float | None
    plain: float | None
    hard: float | None
    languages: Mapping[str, float] = field(default_factory=dict)
    parts: Mapping[str, float] = field(default_factory=dict)
    kinds: Mapping[str, float] = field(default_factory=dict)
    intents: Mapping[str, tuple[float, float, int]] = field(default_factory=dict)
    coverage: Mapping[float, float] = field(default_factory=dict)
    calibration_error: float | None = None
    sure_share: float | None = None
    sure_intent: float | None = None
    sentiment: float | None = None
    urgency: float | None = None
    urgency_within_one: float | None = None
    next_action: float | None = None
    language: float | None = None
    confusion: Mapping[tuple[str, str], int] = field(default_factory=dict)


def sentiment_class(score: float) -> str:
    """Negative below -0.2, positive above 0.2, else neutral.

    >>> sentiment_class(0.2)
    'neutral'
    """
    return "negative" if score < -_CUT else "positive" if score > _CUT else "neutral"


def score(labels: Sequence[Mapping[str, object]], found: Sequence[Understood]) -> Scores:
    """Compares labels (of `data/replies`, any may be absent) with what was understood, in the same order."""
    pairs = list(zip(labels, found, strict=True))
    told = [(label, f, label["intent"] == f.intent) for label, f in pairs if label.get("intent")]
    parts: dict[str, list[bool]] = {}
    kinds: dict[str, list[bool]] = {}
    languages: dict[str, list[bool]] = {}
    for label, _, is_right in told:
        group = "english" if label.get("language") == "en" else "other"
        parts.setdefault(f"{group} {'hard' if label.get('hard') else 'plain'}", []).append(is_right)
        kinds.setdefault(str(label.get("kind")), []).append(is_right)
        languages.setdefault(str(label.get("language")), []).append(is_right)
    sure = [is_right for _, f, is_right in told if not f.is_unsure]
    levels = [
        (URGENCY_LEVELS.index(str(label["urgency_level"])), URGENCY_LEVELS.index(f.urgency_level))
        for label, f in pairs
        if label.get("urgency_level") in URGENCY_LEVELS
    ]
    return Scores(
        count=len(pairs),
        intent=_share(is_right for _, _, is_right in told),
        plain=_share(is_right for label, _, is_right in told if not label.get("hard")),
        hard=_share(is_right for label, _, is_right in told if label.get("hard")),
        languages=_shares(languages),
        parts=_shares(parts),
        kinds=_shares(kinds),
        intents=_per_intent([(str(label["intent"]), f.intent) for label, f, _ in told]),
        coverage=_coverage([(f.confidence, is_right) for _, f, is_right in told]),
        calibration_error=_calibration_error([(f.confidence, is_right) for _, f, is_right in told]),
        sure_share=len(sure) / len(told) if told else None,
        sure_intent=_share(sure),
        sentiment=_share(
            sentiment_class(float(str(label["sentiment_score"]))) == sentiment_class(f.sentiment_score)
            for label, f in pairs
            if label.get("sentiment_score") is not None
        ),
        urgency=_share(a == b for a, b in levels),
        urgency_within_one=_share(abs(a - b) <= 1 for a, b in levels),
        next_action=_share(label["next_action"] == f.next_action for label, f in pairs if label.get("next_action")),
        language=_share(label["language"] == f.language for label, f in pairs if label.get("language")),
        confusion=Counter((str(label["intent"]), f.intent) for label, f, _ in told),
    )


def _share(hits: Iterable[bool]) -> float | None:
    values = list(hits)
    return sum(values) / len(values) if values else None


def _shares(groups: Mapping[str, list[bool]]) -> dict[str, float]:
    return {name: sum(hits) / len(hits) for name, hits in sorted(groups.items())}


def _per_intent(pairs: Sequence[tuple[str, str]]) -> dict[str, tuple[float, float, int]]:
    """Precision, recall and number of each intent; precision is 1 where it was never predicted."""
    table = {}
    for intent in INTENTS:
        hits = sum(a == b == intent for a, b in pairs)
        predicted = sum(b == intent for _, b in pairs)
        true = sum(a == intent for a, _ in pairs)
        if true or predicted:
            table[intent] = (hits / predicted if predicted else 1.0, hits / true if true else 1.0, true)
    return table


def _coverage(sure: Sequence[tuple[float, bool]]) -> dict[float, float]:
    ordered = [is_right for _, is_right in sorted(sure, key=lambda pair: -pair[0])]
    cuts = {share: ordered[: max(1, round(share * len(ordered)))] for share in COVERAGES}
    return {share: sum(hits) / len(hits) for share, hits in cuts.items() if hits}


def _calibration_error(sure: Sequence[tuple[float, bool]]) -> float | None:
    if not sure:
        return None
    bins: dict[int, list[tuple[float, bool]]] = {}
    for confidence, is_right in sure:
        bins.setdefault(min(_BINS - 1, int(confidence * _BINS)), []).append((confidence, is_right))
    gaps = (abs(sum(c for c, _ in b) - sum(r for _, r in b)) for b in bins.values())
    return sum(gaps) / len(sure)

"""How much what we asked last helps with short replies: accuracy without and with it, on both halves.

    python -m benchmarks.replies_context [--split test] [--show] [--strange]

`data/replies_context.jsonl` holds short replies with the message that they answer. To half of them (`answer`) the message
gives the meaning; the others (`own_words`) say something of their own, and it must not mislead. Words and figures were
chosen by the half `train`; `test` was written afterwards and only measured. `--strange` puts each question before short
replies of the frozen split that were written without any, and counts how many are then understood otherwise.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from benchmarks.replies_fit import DATA, as_input, corpus
from features.replies.answers import MOST_WORDS, count_words
from features.replies.cleaning import clean
from features.replies.understanding import ReplyModel, Understood

_SHORT = 120
"""Characters, to look no further at longer replies."""
KINDS = ("answer", "own_words")


def rows_of(split: str) -> list[dict[str, Any]]:
    """The labelled replies of a half."""
    lines = (DATA / "replies_context.jsonl").read_text(encoding="utf-8").splitlines()
    return [row for row in map(json.loads, lines) if row["split"] == split]


def tone(score: float) -> int:
    """The class of a sentiment: -1, 0 or 1."""
    return (score > 0.2) - (score < -0.2)


def shares(rows: Sequence[dict[str, Any]], found: Sequence[Understood]) -> tuple[float, ...]:
    """Shares that are right: intent, intent by kind, sentiment class, urgency, next action, and shares not unsure."""
    pairs = list(zip(rows, found, strict=True))
    hits = [row["intent"] == one.intent for row, one in pairs]
    by_kind = [[hit for hit, row in zip(hits, rows, strict=True) if row["kind"] == kind] for kind in KINDS]
    tones = [tone(row["sentiment_score"]) == tone(one.sentiment_score) for row, one in pairs]
    urgencies = [row["urgency_level"] == one.urgency_level for row, one in pairs]
    actions = [row["next_action"] == one.next_action for row, one in pairs]
    sure = [not one.is_unsure for one in found]
    return tuple(sum(each) / max(1, len(each)) for each in (hits, *by_kind, tones, urgencies, actions, sure))


def strange(model: ReplyModel, split: str) -> tuple[int, int, list[str]]:
    """Short replies of the frozen split beside questions that they were not written to: pairs, changed, and which."""
    questions: dict[str, list[tuple[str, ...]]] = {}
    for row in rows_of(split):
        questions.setdefault(row["language"], []).append(tuple(row["context"]))
    inputs = [(row["language"], as_input(row)) for row in corpus("tuvw") if len(row["text"]) < _SHORT]
    short = [(language, one) for language, one in inputs if 0 < count_words(clean(one.text).written) <= MOST_WORDS]
    bare = model.understand([one for _, one in short])
    pairs, changed = 0, []
    for (language, one), before in zip(short, bare, strict=True):
        asked = questions[language]
        pairs += len(asked)
        for words, after in zip(asked, model.understand([replace(one, context=c) for c in asked]), strict=True):
            if after.intent != before.intent:
                changed.append(f"{before.intent} -> {after.intent}: {words[-1][-80:]} / {one.text}")
    return len(short), pairs, changed


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", choices=("train", "test"), action="append")
    parser.add_argument("--show", action="store_true", help="prints what is understood wrongly with the context")
    parser.add_argument("--strange", action="store_true")
    options = parser.parse_args()
    model = ReplyModel.shipped()
    print("| half | | replies | intent | answers | own words | sentiment | urgency | next action | not unsure |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for split in options.split or ("train", "test"):
        rows = rows_of(split)
        inputs = [as_input(row) for row in rows]
        bare = model.understand([replace(one, context=()) for one in inputs])
        told = model.understand(inputs)
        for name, found in (("without", bare), ("with context", told)):
            cells = " | ".join(f"{100 * share:.1f}%" for share in shares(rows, found))
            print(f"| {split} | {name} | {len(rows)} | {cells} |")
        if options.show:
            for row, before, after in zip(rows, bare, told, strict=True):
                if row["intent"] != after.intent:
                    asked = row["context"][-1].replace("\n", " ")[-120:]
                    print(f"{row['id']} {row['intent']}: {before.intent} -> {after.intent} {after.confidence:.2f}")
                    print(f"    {asked} / {row['text']}")
        if options.strange:
            count, pairs, changed = strange(model, split)
            print(f"strange questions, {split}: {len(changed)} of {pairs} pairs of {count} replies change")
            print(*(changed if options.show else ()), sep="\n")
    print(f"\nmodel {model.version}")


if __name__ == "__main__":
    main()

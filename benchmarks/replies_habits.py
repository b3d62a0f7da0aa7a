"""How fast corrections teach a habit that the model gets wrong, and what they cost elsewhere.

Six invented habits (`tests/samples/reply_habits.jsonl`, 30 replies each): 20 corrections are learnt, the other 10 are
judged, over three draws; elsewhere is a sample of the labelled corpus. Compared: the memory of the product, and River's
learners over the same grams, started from the model's log-odds.

    python -m benchmarks.replies_habits [--river]
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.replies_fit import as_input, corpus
from features.replies.understanding import Correction, ReplyModel

HABITS = Path(__file__).parent.parent / "tests" / "samples" / "reply_habits.jsonl"
DRAWS = 3
TAUGHT = 20
ELSEWHERE = 400


def main() -> None:
    """Prints a table of habits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--river", action="store_true")
    parser.add_argument("--elsewhere", type=Path, help="labelled replies that no weights were fitted on")
    options = parser.parse_args()
    rows = [json.loads(line) for line in HABITS.read_text(encoding="utf-8").splitlines()]
    if options.elsewhere:
        others = [json.loads(line) for line in options.elsewhere.read_text(encoding="utf-8").splitlines()]
    else:
        others = corpus()
    others = [others[i] for i in np.random.default_rng(7).permutation(len(others))[:ELSEWHERE]]
    model = ReplyModel.shipped()
    base = model._examples([as_input(row) for row in rows])[1]  # noqa: SLF001
    rest = model._examples([as_input(row) for row in others])[1]  # noqa: SLF001
    truth = [row["intent"] for row in others]
    names = sorted({row["habit"] for row in rows})
    print("habit      before  after  elsewhere before  after   ms to learn 20")
    for name in names:
        mine = [i for i, row in enumerate(rows) if row["habit"] == name]
        figures: list[Any] = []
        for draw in range(DRAWS):
            order = np.random.default_rng(draw).permutation(mine)
            taught, judged = order[:TAUGHT], order[TAUGHT:]
            model = ReplyModel.shipped()
            before, elsewhere = _right(model, base, rows, judged), _rate(model, rest, truth)
            start = time.perf_counter()
            model.learn([Correction(as_input(rows[i]), {"intent": rows[i]["intent"]}) for i in taught])
            took = time.perf_counter() - start
            figures.append(
                (before, _right(model, base, rows, judged), elsewhere, _rate(model, rest, truth), took * 1e3)
            )
        print(f"{name:10s} " + "  ".join(f"{value:.3f}" for value in np.mean(figures, axis=0)))


def _right(model: ReplyModel, base: Any, rows: Any, judged: Any) -> float:
    return _rate(model, [base[i] for i in judged], [rows[i]["intent"] for i in judged])


def _rate(model: ReplyModel, examples: Any, truth: Any) -> float:
    from features.replies.heads import INTENTS, part

    odds = np.array([example.log_odds for example in examples]) + model._memory.shifts(examples)  # noqa: SLF001
    found = part("intent", odds).argmax(1)
    return float(np.mean([INTENTS[i] == label for i, label in zip(found, truth, strict=True)]))


if __name__ == "__main__":
    main()

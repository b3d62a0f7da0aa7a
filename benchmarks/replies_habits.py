"""How fast corrections teach a habit that the model gets wrong, and what they cost elsewhere.

Six invented habits (`tests/samples/reply_habits.jsonl`, 30 replies each): 20 corrections are learnt, the other 10 are
judged, over three draws; elsewhere is a sample of the frozen split. Compared: the memory of the product, and River's
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
        others = corpus("tuvw")
    others = [others[i] for i in np.random.default_rng(7).permutation(len(others))[:ELSEWHERE]]
    model = ReplyModel.shipped()
    base = model._examples([as_input(row) for row in rows])[1]  # noqa: SLF001
    rest = model._examples([as_input(row) for row in others])[1]  # noqa: SLF001
    truth = [row["intent"] for row in others]
    names = sorted({row["habit"] for row in rows})
    if options.river:
        compare_river(rows, base, rest, truth, names)
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


def _river_learners() -> dict[str, Any]:
    from river import linear_model, multiclass, naive_bayes, optim

    return {
        "softmax": linear_model.SoftmaxRegression(optimizer=optim.SGD(0.5)),
        "passive-aggressive": multiclass.OneVsRestClassifier(linear_model.PAClassifier(C=0.1, mode=1)),
        "naive Bayes": naive_bayes.MultinomialNB(alpha=0.1),
    }


def compare_river(  # noqa: C901
    rows: Any, base: Any, rest: Any, truth: Any, names: Any
) -> None:
    """River's learners over the same grams, one pass: 400 replies as the model reads them, then 20 corrections.

    Their log-probabilities are added to the model's log-odds, as the memory's shifts are. Beside them the vote of the
    five nearest corrections within a likeness of a tenth.
    """
    from features.replies.heads import INTENTS, part
    from features.replies.memory import _Packed, likeness

    def judged(examples: Any, labels: Any, extra: Any) -> float:
        odds = [part("intent", e.log_odds) + extra(e) for e in examples]
        return float(np.mean([INTENTS[int(o.argmax())] == label for o, label in zip(odds, labels, strict=True)]))

    def grams(example: Any) -> dict[int, float]:
        return dict(zip(example.places.tolist(), example.values.tolist(), strict=True))

    figures: dict[str, list[tuple[float, float]]] = {}
    for name in names:
        mine = np.random.default_rng(0).permutation([i for i, row in enumerate(rows) if row["habit"] == name])
        taught, asked = mine[:TAUGHT], mine[TAUGHT:]
        for kind, learner in _river_learners().items():
            for example in rest:
                learner.learn_one(grams(example), INTENTS[int(part("intent", example.log_odds).argmax())])
            for i in taught:
                learner.learn_one(grams(base[i]), rows[i]["intent"])

            def extra(example: Any, learner: Any = learner) -> Any:
                shares = learner.predict_proba_one(grams(example))
                return np.log([shares.get(intent, 0.0) + 1e-6 for intent in INTENTS])

            found = judged([base[i] for i in asked], [rows[i]["intent"] for i in asked], extra)
            figures.setdefault(kind, []).append((found, judged(rest, truth, extra)))
        known = _Packed([base[i] for i in taught])

        def nearest(example: Any, known: Any = known, taught: Any = taught) -> Any:
            alike = likeness(example, known)
            votes = np.zeros(len(INTENTS))
            for at in np.argsort(-alike)[:5]:
                if alike[at] > 1.2:
                    votes[INTENTS.index(rows[taught[at]]["intent"])] += 3.0
            return votes

        found = judged([base[i] for i in asked], [rows[i]["intent"] for i in asked], nearest)
        figures.setdefault("5 nearest", []).append((found, judged(rest, truth, nearest)))
    for kind, values in figures.items():
        habits, elsewhere = np.mean(values, axis=0)
        print(f"{kind:20s} habits {habits:.3f} elsewhere {elsewhere:.3f}")


def _right(model: ReplyModel, base: Any, rows: Any, judged: Any) -> float:
    return _rate(model, [base[i] for i in judged], [rows[i]["intent"] for i in judged])


def _rate(model: ReplyModel, examples: Any, truth: Any) -> float:
    from features.replies.heads import INTENTS, part

    odds = np.array([example.log_odds for example in examples]) + model._memory.shifts(examples)  # noqa: SLF001
    found = part("intent", odds).argmax(1)
    return float(np.mean([INTENTS[i] == label for i, label in zip(found, truth, strict=True)]))


if __name__ == "__main__":
    main()

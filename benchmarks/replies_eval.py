"""How well the shipped model understands labelled replies: figures, a table for docs/replies.md, the confusion matrix.

    python -m benchmarks.replies_eval [--authors tuvw] [--picture docs/replies_confusion.svg]

The authors t to w wrote the frozen test split: no weight, threshold or phrase was chosen by it.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

from benchmarks.replies_fit import as_input, corpus
from features.replies.heads import INTENTS
from features.replies.scores import Scores, score
from features.replies.understanding import ReplyModel

_CELL, _LEFT, _TOP = 52, 150, 130


def report(found: Scores) -> str:
    """The figures as Markdown."""
    lines = [f"{found.count} replies", ""]
    whole: Mapping[str, float | None] = {
        "intent": found.intent,
        **{f"intent, {name}": share for name, share in found.parts.items()},
        "intent on the surest 70%": found.coverage.get(0.7),
        "intent where not unsure": found.sure_intent,
        "share not unsure": found.sure_share,
        "expected calibration error": found.calibration_error,
        "sentiment class": found.sentiment,
        "urgency": found.urgency,
        "urgency within one step": found.urgency_within_one,
        "next action": found.next_action,
        "language": found.language,
    }
    lines += ["| figure | share |", "|---|---|"]
    lines += [f"| {name} | {100 * share:.1f}% |" for name, share in whole.items() if share is not None]
    lines += ["", "| intent | precision | recall | replies |", "|---|---|---|---|"]
    lines += [f"| `{n}` | {100 * p:.1f}% | {100 * r:.1f}% | {count} |" for n, (p, r, count) in found.intents.items()]
    lines += ["", "| language | intent |", "|---|---|"]
    lines += [f"| {name} | {100 * share:.1f}% |" for name, share in found.languages.items()]
    lines += ["", "| kind | intent |", "|---|---|"]
    lines += [f"| {name} | {100 * share:.1f}% |" for name, share in found.kinds.items()]
    lines += ["", "| coverage | intent |", "|---|---|"]
    lines += [f"| {share:.0%} | {100 * right:.1f}% |" for share, right in found.coverage.items()]
    return "\n".join(lines)


def picture(found: Scores) -> str:
    """The confusion matrix as SVG: true intents in rows, shares of each row as shades."""
    size = _LEFT + _CELL * len(INTENTS) + 20, _TOP + _CELL * len(INTENTS) + 20
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size[0]} {size[1]}" font-family="sans-serif" font-size="12">',
        f'<rect width="{size[0]}" height="{size[1]}" fill="white"/>',
        f'<text x="{_LEFT}" y="18" font-weight="bold">understood as (columns), meant (rows)</text>',
    ]
    for at, name in enumerate(INTENTS):
        across = _LEFT + _CELL * at + _CELL // 2
        parts.append(f'<text x="{_LEFT - 8}" y="{_TOP + _CELL * at + 30}" text-anchor="end">{name}</text>')
        parts.append(f'<text transform="translate({across},{_TOP - 8}) rotate(-50)">{name}</text>')
        total = sum(found.confusion.get((name, other), 0) for other in INTENTS) or 1
        for place, other in enumerate(INTENTS):
            count = found.confusion.get((name, other), 0)
            share = count / total
            shade = round(255 - 190 * min(1.0, share if at == place else 4 * share))
            colour = f"rgb({shade},{shade},255)" if at == place else f"rgb(255,{shade},{shade})"
            x, y = _LEFT + _CELL * place, _TOP + _CELL * at
            parts.append(f'<rect x="{x}" y="{y}" width="{_CELL - 2}" height="{_CELL - 2}" fill="{colour}"/>')
            if count:
                parts.append(f'<text x="{x + _CELL // 2}" y="{y + 30}" text-anchor="middle">{count}</text>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Prints the figures and writes the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--authors", default="tuvw")
    parser.add_argument("--picture", type=Path)
    options = parser.parse_args()
    rows = corpus(options.authors)
    model = ReplyModel.shipped()
    model.understand([as_input(rows[0])])
    start = time.process_time()
    found = model.understand([as_input(row) for row in rows])
    took = time.process_time() - start
    figures = score(rows, found)
    print(report(figures))
    print(f"\n{len(rows) / took:.0f} replies a second of one core; model {model.version}")
    if options.picture:
        options.picture.write_text(picture(figures), encoding="utf-8")


if __name__ == "__main__":
    main()

"""Scores of extraction on the labelled corpus, by language, and microseconds a reply.

    python benchmarks/extraction.py [--held-out] [--misses FIELD] [FILE...]

Development looks at four of five replies; `--held-out` at the fifth, chosen by crc32 of the id.
"""

import argparse
import json
import sys
import zlib
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from time import process_time
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from features.replies.extraction import extract
from features.replies.folding import fold

FIELDS = ("resume_date", "referred_name", "referred_email", "proposed_times", "competitor", "objection_type")
CORPUS = Path(__file__).parents[1] / "data" / "replies"


def replies(files: list[Path], *, held_out: bool) -> Iterator[dict[str, Any]]:
    """The replies of the files that belong to the part asked for."""
    for file in files:
        for line in file.read_text(encoding="utf-8").splitlines():
            reply = json.loads(line)
            if (zlib.crc32(reply["id"].encode()) % 5 == 0) == held_out:
                yield reply


def values(found: object) -> set[str]:
    """What is compared: folded words; of several times each alone."""
    if found is None:
        return set()
    return {fold(str(one)).strip(" .,") for one in (found if isinstance(found, list | tuple) else [found])}


def main() -> None:
    """Prints the scores, and with `--misses` the replies that are read otherwise than labelled."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--held-out", action="store_true")
    parser.add_argument("--misses", choices=FIELDS)
    parser.add_argument("files", nargs="*", type=Path)
    args = parser.parse_args()
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0, 0])
    warm: set[str] = set()
    number, seconds = 0, 0.0
    for reply in replies(args.files or sorted(CORPUS.glob("*.jsonl")), held_out=args.held_out):
        at = datetime.fromisoformat(reply["received_at"])
        if reply["language"] not in warm:  # the words of a language are read once
            warm.add(reply["language"])
            extract(reply["text"], reply["language"], at, "out_of_office")
            extract(reply["text"], reply["language"], at, "meeting_request")
        begin = process_time()
        found = extract(reply["text"], reply["language"], at, reply["intent"], subject=reply.get("subject"))
        seconds += process_time() - begin
        number += 1
        for name in FIELDS:
            want, got = values(reply["extracted"].get(name)), values(getattr(found, name))
            for language in (reply["language"], "all"):
                count = counts[name, language]
                count[0] += len(want & got)
                count[1] += len(got - want)
                count[2] += len(want - got)
            if name == args.misses and want != got:
                print(
                    reply["id"],
                    reply["intent"],
                    reply["received_at"][:10],
                    want,
                    got,
                    reply["text"][:200].replace("\n", "/"),
                )
    print(f"{number} replies, {seconds / max(number, 1) * 1e6:.0f} µs of CPU each")
    print(
        f"{'field':15} {'language':8} {'precision':>9} {'recall':>7} {'F1':>6} {'right':>6} {'wrong':>6} {'missed':>6}"
    )
    for (name, language), (right, wrong, missed) in sorted(counts.items()):
        if right + wrong + missed:
            precision, recall = right / max(1, right + wrong), right / max(1, right + missed)
            f1 = 2 * right / (2 * right + wrong + missed)
            print(f"{name:15} {language:8} {precision:9.3f} {recall:7.3f} {f1:6.3f} {right:6} {wrong:6} {missed:6}")


if __name__ == "__main__":
    main()

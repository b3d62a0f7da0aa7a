"""Fits the heads over replies' words and writes `data/reply_heads.npz` with its hash.

Needs scikit-learn (`pip install -e '.[models]'`) and the encoder that `benchmarks/replies_tune.py` made. The same corpus
and the same encoder give the same bytes on one machine.

    python -m benchmarks.replies_fit [--held-out FILE.npz]

With `--held-out`, the file of a tuning run that left a fold out, the blend of both parts and the threshold of doubt are
measured on that fold and printed; without, the constants below are used.
"""

import argparse
import hashlib
import io
import json
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from features.replies.encoder import Encoder
from features.replies.grams import BUCKETS
from features.replies.heads import HEADS, SPREAD, Heads, part, probabilities
from features.replies.memory import Example, packed
from features.replies.objections import KINDS, evidence
from features.replies.reading import Reading, ReplyInput, read
from features.replies.spans import marked_product

DATA = Path(__file__).parent.parent / "data"
TRAINING_AUTHORS = "abcdefghijklmnopqrsxyz9"
FOLDS, NEIGHBOURS = 3, 8
BLEND = {"intent": (0.9, 0.6), "urgency_level": (0.75, 0.5), "next_action": (0.9, 0.55), "sentiment": (0.75, 0.4)}
"""How much the encoder's part and the words' part count: the least log loss on a held-out fold (`--held-out`)."""
SURE = 0.85
"""Confidence below which a person looks: on the held-out fold the surest 70% begin at 0.958, where 98.9% are right."""
STRENGTH = {"intent": 5.0, "urgency_level": 2.0, "next_action": 3.0, "sentiment": 2.0}
"""Inverse regularization of the words' part, by cross-validation over three folds of the corpus."""
CUES_WORTH, FORM_WORTH = 0.15, 0.1
ANCHORS = 400
"""Replies of the corpus that corrections must leave as they are."""


def corpus(authors: str = TRAINING_AUTHORS) -> list[dict[str, Any]]:
    """Labelled replies of the authors, each with its fold; eight neighbours stay together, since they may be alike."""
    rows = []
    for path in sorted((DATA / "replies").glob(f"*_[{authors}].jsonl")):
        lines = path.read_text(encoding="utf-8").splitlines()
        for at, line in enumerate(lines):
            rows.append(json.loads(line) | {"fold": at // NEIGHBOURS % FOLDS})
    return rows


def as_input(row: dict[str, Any]) -> ReplyInput:
    """The row of a labelled file as a reply that comes in."""
    return ReplyInput(
        id=row["id"],
        channel=row.get("channel"),
        subject=row.get("subject"),
        headers=row.get("headers") or {},
        received_at=datetime.fromisoformat(row["received_at"]),
        text=row["text"],
        context=tuple(row.get("context") or ()),
    )


def label_of(row: dict[str, Any], head: str) -> int:
    """The index of the row's label in a head."""
    if head == "sentiment":
        score = float(row["sentiment_score"])
        return 0 if score < -0.2 else 2 if score > 0.2 else 1
    return HEADS[head].index(row[head])


def fit_words(readings: Sequence[Reading], rows: Sequence[dict[str, Any]], keep: Any) -> dict[str, Any]:
    """The arrays of the words' part, fitted on the rows that `keep` marks."""
    from scipy import sparse
    from sklearn.linear_model import LogisticRegression

    counts = np.zeros(BUCKETS)
    for reading in readings:
        counts[reading.places] += 1
    idf = np.log((len(readings) + 1) / (counts + 1)).astype(np.float16)
    dense = np.array([reading.dense for reading in readings])
    mean, deviation = dense[keep].mean(0), dense[keep].std(0) + 1e-6
    worth = np.array([CUES_WORTH] * 12 + [FORM_WORTH] * (dense.shape[1] - 12))
    scale = (worth / deviation).astype(np.float32)
    grams = sparse.lil_matrix((len(readings), BUCKETS), dtype=np.float64)
    for at, reading in enumerate(readings):
        values = reading.values * idf.astype(np.float32)[reading.places]
        norm = float(np.sqrt(values @ values)) or 1.0
        grams[at, reading.places] = values / norm
    features = sparse.hstack([grams.tocsr(), sparse.csr_matrix((dense - mean) * scale)]).tocsr()
    by_grams = np.zeros((BUCKETS, 21), np.float16)
    by_dense, bias = np.zeros((dense.shape[1], 21), np.float32), np.zeros(21, np.float32)
    for head in HEADS:
        labels = np.array([label_of(row, head) for row in rows])
        model = LogisticRegression(C=STRENGTH[head], max_iter=300).fit(features[keep], labels[keep])
        part(head, by_grams)[:] = model.coef_[:, :BUCKETS].T
        part(head, by_dense)[:] = model.coef_[:, BUCKETS:].T
        part(head, bias)[:] = model.intercept_
    return {
        "gram_idf": idf,
        "gram_weights": by_grams,
        "dense_mean": mean.astype(np.float32),
        "dense_scale": scale,
        "dense_weights": by_dense,
        "bias": bias,
    }


def fit_objections(rows: Sequence[dict[str, Any]], readings: Sequence[Reading], heads: Heads, encoder: Encoder) -> Any:
    """The arrays of the head over kinds of objections; 73% F1 on a held-out fold, 49% by words alone."""
    from sklearn.linear_model import LogisticRegression

    chosen = [at for at, row in enumerate(rows) if row["intent"] == "objection"]
    vectors = heads.centred(encoder.encode([readings[at].short for at in chosen]))
    found, labels = [], []
    for at, vector in zip(chosen, vectors, strict=True):
        written, language = readings[at].cleaned.written, readings[at].language
        found.append(evidence(written, language, vector, marked_product(written, language, "objection")))
        labels.append(KINDS.index(rows[at]["extracted"].get("objection_type")))
    model = LogisticRegression(C=1.0, max_iter=1000).fit(np.array(found), np.array(labels))
    assert list(model.classes_) == list(range(len(KINDS)))
    return {
        "objection_weights": model.coef_.T.astype(np.float32),
        "objection_bias": model.intercept_.astype(np.float32),
    }


def save(name: str, arrays: dict[str, Any]) -> str:
    """Writes `data/NAME.npz` and its hash; the first digits of the hash."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    digest = hashlib.sha256(buffer.getvalue()).hexdigest()
    (DATA / f"{name}.npz").write_bytes(buffer.getvalue())
    (DATA / f"{name}.sha256").write_text(f"{digest}  {name}.npz\n", encoding="ascii")
    return digest[:8]


def blends(
    rows: Sequence[dict[str, Any]], readings: Sequence[Reading], held_out: Any
) -> dict[str, tuple[float, float]]:
    """Measures the blend on the fold that a tuning run left out."""
    fold = int(held_out["fold"])
    is_out = np.array([row["fold"] == fold for row in rows])
    words = fit_words(readings, rows, ~is_out)
    kept = [at for at in range(len(rows)) if is_out[at]]
    arrays = words | {name: held_out[name] for name in ("vector_mean", "vector_weights", "vector_bias")}
    ones = {"blend": np.array([[1, 0]] * 4), **arrays}, {"blend": np.array([[0, 1]] * 4), **arrays}
    parts = [Heads(each).log_odds([readings[at] for at in kept], held_out["vectors"][kept]) for each in ones]
    found = {}
    for head in HEADS:
        labels = np.array([label_of(rows[at], head) for at in kept])
        best = min(
            ((a / 20, b / 20) for a in range(31) for b in range(31)),
            key=lambda ab: _log_loss(ab[0] * part(head, parts[0]) + ab[1] * part(head, parts[1]), labels),
        )
        mixed = best[0] * part(head, parts[0]) + best[1] * part(head, parts[1])
        hits = mixed.argmax(1) == labels
        shares = probabilities(mixed).max(1)
        surest = np.argsort(-shares, kind="stable")[: round(0.7 * len(shares))]
        print(f"{head:14s} blend {best} accuracy {hits.mean():.3f}", end=" ")
        print(*(f"{np.mean(part(head, p).argmax(1) == labels):.3f}" for p in parts), end=" ")
        print(f"surest 70% {hits[surest].mean():.3f} from {shares[surest].min():.3f}")
        found[head] = best
    return found


def _log_loss(log_odds: Any, labels: Any) -> float:
    return float(-np.log(probabilities(log_odds)[np.arange(len(labels)), labels] + 1e-9).mean())


def main() -> None:
    """Fits and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--held-out", type=Path)
    options = parser.parse_args()
    rows = corpus()
    readings = [read(as_input(row)) for row in rows]
    blend = BLEND
    if options.held_out:
        blend = blends(rows, readings, np.load(options.held_out))
    with np.load(DATA / "reply_encoder.npz") as arrays:
        encoder = {name: arrays[name] for name in arrays.files}
    vector = {name: values for name, values in encoder.items() if name.startswith("vector_")}
    fitted = fit_words(readings, rows, np.ones(len(rows), bool)) | vector
    fitted["blend"] = np.array([blend[head] for head in HEADS], np.float32)
    heads = Heads(fitted)
    chosen = sorted(np.random.default_rng(0).choice(len(rows), ANCHORS, replace=False))
    some = [readings[at] for at in chosen]
    tensors = {name: values for name, values in encoder.items() if name not in vector}
    engine = Encoder(tensors)
    vectors = engine.encode([reading.short for reading in some])
    odds = heads.log_odds(some, vectors)
    anchors = [
        Example(r.places, heads.weighed(r), v, o) for r, v, o in zip(some, heads.centred(vectors), odds, strict=True)
    ]
    scores = np.array([row["sentiment_score"] for row in rows], np.float64)
    classes = np.array([label_of(row, "sentiment") for row in rows])
    fitted |= packed("anchor", anchors) | fit_objections(rows, readings, heads, engine)
    fitted["sentiment_scores"] = np.array([scores[classes == c].mean() for c in range(3)], np.float32)
    fitted["sure"] = np.array(SURE)
    print("reply_heads.npz", save("reply_heads", fitted), f"{(DATA / 'reply_heads.npz').stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    assert SPREAD == 15.0
    main()

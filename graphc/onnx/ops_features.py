"""Features that classical models compute from their inputs."""

from __future__ import annotations

from typing import Any

import numpy as np

import graphc as gx
from graphc.frontend.tensor import Tensor
from graphc.onnx.call import OnnxNode, Result, Table


def binarize(call: OnnxNode) -> Result:
    """1 where x is above a threshold, else 0."""
    return gx.astype(call.x() > call["threshold"], call.x().dtype)


def extract(call: OnnxNode) -> Result:
    """Some columns; of a vector a row of them."""
    x, places = call.x(), gx.flatten(call.x(1))
    found = gx.take(x, places, axis=-1)
    return gx.expand_dims(found, 0) if x.ndim == 1 else found


def count_grams(call: OnnxNode) -> Result:
    """How often each n-gram of a pool stands in each row, with up to so many elements between."""
    if "pool_int64s" not in call.attributes:
        call.unsupported("n-grams of strings")
    x = call.x()
    call.extent(-1)
    rows = gx.expand_dims(x, 0) if x.ndim == 1 else x
    pool, starts = np.asarray(call["pool_int64s"], np.int64), call["ngram_counts"]
    found = []
    for n, start in enumerate(starts, 1):
        end = starts[n] if n < len(starts) else len(pool)
        grams = pool[start:end].reshape(-1, n)
        asked = call["min_gram_length"] <= n <= call["max_gram_length"]
        skips = range(1 if n == 1 else call["max_skip_count"] + 1) if asked else ()
        hits = [matches(rows, grams, skip + 1) for skip in skips]
        zeros = gx.zeros((rows.shape[0], len(grams)), "int64")
        found.append(sum(hits, zeros))
    places = np.asarray(call["ngram_indexes"])
    counts = gx.take(gx.concat(found, 1), np.argsort(places), axis=1)
    y = weighted(gx.astype(counts, "float32"), call, np.argsort(places))
    width = int(places.max()) + 1
    whole = gx.put_along_axis(
        gx.zeros((*y.shape[:1], width), "float32"),
        gx.broadcast_to(gx.constant(np.sort(places)[None]), y.shape), y, 1,
    )  # fmt: skip
    return whole[0] if x.ndim == 1 else whole


def matches(rows: Tensor, grams: Any, step: int) -> Tensor:
    """How often each gram stands in each row, its elements `step` apart."""
    reach = (grams.shape[1] - 1) * step
    count = rows.shape[1] - reach
    assert isinstance(count, int)
    if count <= 0 or not len(grams):
        return gx.zeros((rows.shape[0], len(grams)), "int64")
    parts = (
        gx.expand_dims(rows[:, j * step : j * step + count], -1) == gx.constant(grams[:, j])
        for j in range(grams.shape[1])
    )
    hit = next(parts)
    for part in parts:
        hit = hit & part
    return gx.sum(gx.astype(hit, "int64"), 1)


def weighted(counts: Tensor, call: OnnxNode, order: Any) -> Tensor:
    """Counts, whether there are any, or counts, the last two times weights."""
    weights = call.get("weights")
    if call["mode"] == "TF":
        return counts
    y = gx.astype(counts > 0.0, "float32") if call["mode"] == "IDF" else counts
    return y * np.asarray(weights, np.float32)[order] if weights else y


TABLE: Table = {
    ("ai.onnx.ml.Binarizer", 1): binarize,
    ("ai.onnx.ml.ArrayFeatureExtractor", 1): extract,
    ("TfIdfVectorizer", 9): count_grams,
}

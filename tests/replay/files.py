"""Files that are written for others: exported libraries and ONNX models."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import graphc as gx

from . import models
from .texts import digest, section

TEXTS = (".h", ".json", ".c", ".js", ".mjs", ".html", ".txt", ".cmake")
SIZES = {"batch": (1, 64)}
nn = gx.nn


def file_cases(quick: bool) -> Iterator[tuple[str, Callable[[], str]]]:
    """What is exported, and what is saved."""
    yield "export/mlp", partial(exported, models.mlp, dims=SIZES, weights="separate")
    yield "onnx/mlp", partial(saved, perceptron)
    yield "onnx/cnn", partial(saved, pictures)
    yield "onnx/lstm", partial(saved, memory)
    yield "onnx/sorts", partial(saved, sorts)
    if quick:
        return
    yield "export/lstm", partial(exported, models.lstm, dims=SIZES)
    yield "export/gpt", partial(exported, models.gpt, dims=SIZES, target="baseline")
    yield "export/cnn", partial(exported, inference, dims=SIZES, frozen=True)
    yield "export/cortex", partial(exported, inference, target="cortex-m4", dims={"batch": 1})
    yield "export/wasm", partial(exported, inference, target="wasm32", dims={"batch": 1})


def exported(build: Callable[[], Any], **options: Any) -> str:
    """The files of a library."""
    build().export("library", **options)
    return "\n".join(map(file_text, sorted(p for p in Path("library").rglob("*") if p.is_file())))


def saved(build: Callable[[], tuple[list[Any], Any]]) -> str:
    """An ONNX model."""
    import onnx

    inputs, output = build()
    gx.onnx.save("model.onnx", {"y": output}, inputs)
    shown = onnx.helper.printable_graph(onnx.load("model.onnx").graph)
    return "\n".join([file_text(Path("model.onnx")), section("model", shown)])


def file_text(path: Path) -> str:
    """Length and checksum of a file, and what is in it if that is text."""
    content = path.read_bytes()
    lines = [f"{len(content)} bytes, {digest(content)}"]
    lines += [content.decode()] if path.suffix in TEXTS else []
    return section(f"file {path}", "\n".join(lines))


def perceptron() -> tuple[list[Any], Any]:
    """Dense layers."""
    x = gx.input("x", ("batch", 23))
    return [x], nn.softmax(nn.Dense(7)(nn.LayerNorm()(nn.Dense(37, activation="gelu")(x))))


def pictures() -> tuple[list[Any], Any]:
    """Convolutions."""
    x = gx.input("x", ("batch", 12, 12, 3))
    y = nn.max_pool(nn.relu(nn.BatchNorm()(nn.Conv2D(8, 3, padding="same")(x))), 2)
    return [x], nn.Dense(10)(nn.Flatten()(nn.Conv2D(16, 3, strides=2)(y)))


def memory() -> tuple[list[Any], Any]:
    """A recurrent layer, which is a loop."""
    x = gx.input("x", ("batch", 9, 5))
    return [x], nn.Dense(4)(nn.LSTM(12)(x))


def sorts() -> tuple[list[Any], Any]:
    """Views, sorts and sums."""
    x = gx.input("x", ("batch", 37))
    return [x], gx.cumulative_sum(gx.topk(gx.flip(x), 5)[0], axis=1)[:, ::2]


def inference() -> Any:
    """The convolutional network without training."""
    inputs, output = pictures()
    return gx.compile(inputs, output, name="net")

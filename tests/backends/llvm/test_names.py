"""Tensors may have any name, also those that generated code uses itself."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.testing import assert_close

SHAPES = {"x": (3, 2, 2, 16), "w": (16, 16), "b": (16,), "image": (3, 6, 6, 3), "k": (3, 3, 3, 8)}
RNG = np.random.default_rng(0)
ARRAYS = {name: RNG.normal(size=shape).astype("float32") for name, shape in SHAPES.items()}


def program(names: dict[str, str], target: str = "cpu") -> Any:
    """Contractions whose tiles read through reshapes and padding, a softmax, a sum, under names."""
    x, w, b, image, k = (
        gx.input(names[role], ("batch", *shape[1:]) if role in ("x", "image") else shape)
        for role, shape in SHAPES.items()
    )
    y = gx.reshape(x, (x.shape[0], 4, 16)) @ w + b
    z = gx.nn.relu(gx.nn.conv(image, k, padding="same"))
    outputs = [y, z, gx.nn.softmax(y), gx.sum(z, axis=(1, 2))]
    return gx.compile([x, w, b, image, k], outputs, target=target)


def words() -> list[str]:
    """Every name that the code of the program has of its own."""
    step = program({role: f"arg_{role}" for role in SHAPES})
    step(*ARRAYS.values())
    found = set(re.findall(r"%([A-Za-z_][A-Za-z0-9_]*)", step.source("llvm")))
    extra = {
        "place",
        "places",
        "place0",
        "place12",
        "tile",
        "self",
        "ptr",
        "double",
        "i64",
        "define",
    }
    return sorted({name for name in found if "arg_" not in name} | extra)


@pytest.mark.parametrize("start", range(5))
def test_names_of_the_generated_code_are_free_to_users(start: int) -> None:
    """Each name stands for another tensor in each of five turns."""
    expected = program({role: f"arg_{role}" for role in SHAPES})(*ARRAYS.values())
    listed = words()[start::5]
    listed += ["left", "right", "steps", "place1", "sizes"][: -len(listed) % 5]
    for i in range(0, len(listed), 5):
        names = dict(zip(SHAPES, dict.fromkeys(listed[i : i + 5])))
        names |= {role: f"other_{role}" for role in SHAPES if role not in names}
        for found, wanted in zip(program(names)(*ARRAYS.values()), expected, strict=True):
            assert_close(found, wanted, tolerance="ulps")


@pytest.mark.parametrize(
    "names",
    [
        ("places", "place0", "place1", "left", "right"),
        ("thread", "block", "cuda", "f32", "lambda"),
        ("tile", "i", "acc", "range", "def"),
    ],
)
def test_names_of_code_for_a_gpu_are_free_too(names: tuple[str, ...]) -> None:
    expected = program({role: f"arg_{role}" for role in SHAPES})(*ARRAYS.values())
    step = program(dict(zip(SHAPES, names)), "cuda-simulate")
    for found, wanted in zip(step(*ARRAYS.values()), expected, strict=True):
        assert_close(found, wanted)

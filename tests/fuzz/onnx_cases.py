"""Official node cases of ONNX with one axis of one input unknown: equal, or refused by name.

A seed draws a case, an input, and an axis that the model's file then leaves open. The results must
be those of the package; what is refused must name the dim of that axis and how to give its size.
"""

from __future__ import annotations

import itertools
import random
import warnings
from functools import cache, lru_cache
from typing import Any

import numpy as np
import onnx
from onnx.backend.test.runner import _normalize_tensor

import graphc as gx
from graphc.errors import GraphcError, UnsupportedError
from graphc.onnx.errors import UnknownValueError
from tests.onnx import node_cases

OPEN = "Left_open"  # the name of the dim


@lru_cache(maxsize=1)
def places() -> tuple[tuple[str, int, int], ...]:
    """Every (case, input, axis) whose size can be left open."""
    found = []
    for name, case in node_cases.node_cases().items():
        for number, declared in enumerate(case.model.graph.input):
            if declared.type.WhichOneof("value") != "tensor_type":
                continue
            rank = len(declared.type.tensor_type.shape.dim)
            found += [(name, number, axis) for axis in range(rank)]
    return tuple(found)


def check(seed: int) -> str:
    """One axis of one case; in the order of the cases up to their number, else at random."""
    everything = places()
    drawn = random.Random(seed)
    name, number, axis = everything[drawn.randrange(len(everything))]
    target = "cpu" if drawn.random() < 0.25 else "interpret"
    return check_place(name, number, axis, target)


def check_place(name: str, number: int, axis: int, target: str = "interpret") -> str:
    """Leave one axis open, and compare."""
    case = node_cases.node_cases()[name]
    says = f"{name}, axis {axis} of input {number}, {target}"
    for inputs, expected in case.data_sets:
        arrays = [_normalize_tensor(a) for a in inputs]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            outcome = run(case, opened(case.model, number, axis), arrays, target, says)
        if isinstance(outcome, str):
            return outcome
        wanted = [_normalize_tensor(a) for a in expected]
        try:
            node_cases.compare(case, wanted, outcome)
        except AssertionError as error:
            raise AssertionError(f"{says}: {error}") from error
    return "agrees"


def opened(model: Any, number: int, axis: int) -> Any:
    """The model with one size left open."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    size = copy.graph.input[number].type.tensor_type.shape.dim[axis]
    size.Clear()
    size.dim_param = OPEN
    return copy


def run(case: Any, model: Any, arrays: list[Any], target: str, says: str) -> Any:
    """The outputs, or a word for why there are none."""
    names = [i.name for i in model.graph.input]
    named = dict(zip(names, arrays))
    values: dict[str, Any] = {}
    for _ in itertools.count():
        try:
            loaded = gx.onnx.load(model, values=values)
            break
        except UnknownValueError as error:
            fresh = [n for n in error.inputs if n in named and n not in values]
            if not fresh:
                return refused(error, says)
            values.update((n, named[n]) for n in fresh)
        except UnsupportedError as error:
            return refused(error, says) if supported(case) else "unsupported"
        except GraphcError as error:
            return refused(error, says)
    f = gx.compile(list(loaded.inputs.values()), dict(loaded.outputs), target=target, name="case")
    try:
        return collected(f(**{n.name: named[n.name] for n in f.graph.inputs}), model)
    except GraphcError as error:
        if OPEN not in str(error):
            raise AssertionError(f"{says}: fails without naming the axis: {error}") from error
        return "refused at the call"


@cache
def whole(name: str) -> bool:
    """Whether graphc takes a case as it is."""
    return node_cases.run_case(node_cases.node_cases()[name], "interpret").status != "unsupported"


def supported(case: Any) -> bool:
    """Whether graphc takes a case as it is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return whole(case.name)


def refused(error: GraphcError, says: str) -> str:
    """A refusal must say which size is missing, and how it is given."""
    text = f"{error.message} {error.hint}"
    assert OPEN in error.message, f"{says}: refused without naming the axis: {text}"
    assert f'dims={{"{OPEN}": ' in text, f"{says}: refused without the fix: {text}"
    return "refused"


def collected(result: Any, model: Any) -> list[Any]:
    """The outputs in order, sequences as lists."""
    found = []
    for declared in model.graph.output:
        if not declared.type.HasField("sequence_type"):
            found.append(np.asarray(result[declared.name]))
            continue
        count = sum(f"{declared.name}_{i}" in result for i in range(len(result)))
        found.append([np.asarray(result[f"{declared.name}_{i}"]) for i in range(count)])
    return found

"""Every public function, with each of its arguments wrong in every usual way.

What is refused is refused by an error of ours that says the function and the user's line; nothing
else gets out. What is accepted can be computed, and has the type that was promised. `examples.py`
has one right call of each; a new function fails here until it has one, and is then tried like all
others.
"""

from __future__ import annotations

import datetime
import decimal
import fractions
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import ArgumentError, GraphcError
from graphc.frontend.tensor import Tensor, evaluate
from graphc.ir import ops
from graphc.ir.graph import Graph
from graphc.ir.types import TensorType, find_dtype
from tests.errors.examples import EXAMPLES, MODULES, OPERATIONS, STEP, public_functions

FUNCTIONS = dict(public_functions())
HERE = (Path(__file__).name, "examples.py")
BATCH, TIME = gx.dim("n"), gx.dim("m")
DONE = {("fit", "epochs"), ("compile", "memory"), ("save", 0), ("ensemble", 1)}  # however much
FILES = {"average_checkpoints", "load", "save", "load_library"}  # that are not there
MOST = 10**5  # elements of a value that is computed
CALLS_THE_USER = {
    "cond", "scan", "while_loop", "vmap", "custom_gradient", "ensemble", "nn.through_time",
    "nn.rnn_cell",
    "nn.gru_cell", "nn.lstm_cell", "minimize", "apply",
}  # fmt: skip


class Foreign:
    """Something that no function knows."""

    def __repr__(self) -> str:
        return "<Foreign>"


def inner() -> gx.Tensor:
    """A tensor from inside the body of a loop."""
    seen: list[Any] = []
    gx.scan(lambda c, x: (c, seen.append(x) or x), gx.constant(0.0), gx.input("xs", (3, 4)))
    return seen[0]  # type: ignore[no-any-return]


def wrong_values() -> dict[str, Any]:
    """Values that some argument of some function does not take."""
    itself: list[Any] = []
    itself.append(itself)
    return {
        "foreign": Foreign(), "None": None, "True": True, "-1": -1, "-2": -2, "0": 0, "7": 7,
        "2**40": 2**40, "2**70": 2**70, "-2**70": -(2**70), "1.5": 1.5, "nan": float("nan"),
        "inf": float("inf"), "-inf": float("-inf"), "1j": 1j, "str": "nonsense", "empty": "",
        "newline": "a\nb", "bytes": b"x", "set": {1, 2}, "dict": {}, "dict of": {"a": 1},
        "list": [], "tuple": (), "[None]": [None], "(None, None)": (None, None),
        "generator": (i for i in range(2)), "function": lambda *_: None, "class": Foreign,
        "module": gx, "decimal": decimal.Decimal("1.5"), "fraction": fractions.Fraction(1, 3),
        "date": datetime.date(2000, 1, 1), "slice": slice(0, 1), "...": ..., "range": range(3),
        "itself": itself, "ragged": [[1], [2, 3]], "deep": [[[[[1]]]]], "huge": (2**40, 2**40),
        "beyond": (2**62,), "negative": (-3, 4), "floats": (1.5, 2), "bools": (True, False),
        "strs": ("a", "b"), "dim": BATCH, "polynomial": 2 * BATCH + TIME,
        "np.int64": np.int64(1), "np.float64": np.float64("nan"), "np.bool": np.bool_(True),
        "np.uint64": np.uint64(2**63), "np.str": np.array("abc"),
        "np.object": np.array([Foreign(), None], object), "np.date": np.array(["2020"], "M8[D]"),
        "np 5 axes": np.zeros((2, 2, 2, 2, 2)), "np empty": np.zeros((0, 3)),
        "np swapped": np.zeros((3, 4), ">f4"), "np wrong indices": np.array([[0, 1], [99, -99]]),
        "5 axes": gx.input("a", (2, 2, 2, 2, 2)), "int32": gx.input("b", (3, 4), "int32"),
        "bool": gx.input("c", (3, 4), "bool"), "uint8": gx.input("d", (3, 4), "uint8"),
        "float64": gx.input("e", (3, 4), "float64"), "float16": gx.input("f", (3, 4), "float16"),
        "symbolic": gx.input("g", ("n", "m")), "no rows": gx.input("h", (0, 4)),
        "nothing": gx.input("i", (0,)), "scalar": gx.input("j", ()), "inner": inner(),
        "parameter": gx.parameter("w", (3, 4)), "tensors": [gx.input("k", (5, 4))],
        "9 axes": gx.input("l", (1,) * 9), "compiled": STEP, "'float32'": "float32",
    }  # fmt: skip


def places(name: str) -> Iterator[tuple[str | int, Callable[[Any], Any]]]:
    """For every argument, the call of the function with something else there."""
    function, (args, named) = FUNCTIONS[name], EXAMPLES[name]()
    for i in range(len(args)):
        yield i, lambda v, i=i: function(*(v if j == i else a for j, a in enumerate(args)), **named)
    for word in named:
        yield word, lambda v, word=word: function(*args, **{**named, word: v})


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_there_is_an_example_with_all_arguments(name: str) -> None:
    assert name in EXAMPLES, f"{name} needs a right call in examples.py"
    if name in OPERATIONS:
        return
    signature = inspect.signature(FUNCTIONS[name])
    args, named = EXAMPLES[name]()
    missing = set(signature.parameters) - set(signature.bind(*args, **named).arguments)
    assert missing <= {"arguments", "named", "options"}, f"the example of {name} lacks {missing}"


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - FILES))
def test_the_example_is_right(name: str) -> None:
    args, named = EXAMPLES[name]()
    FUNCTIONS[name](*args, **named)


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_nothing_but_our_errors(name: str, capsys: Any) -> None:
    word = name.split(".")[-1].split("(")[0]
    of_a_package = name in gx.functions.__all__ or name.split(".")[0] in MODULES
    says_its_name = of_a_package and name != "getitem"  # which is called "index"
    for place, call in places(name):
        if (name, place) in DONE:
            continue
        for what, value in wrong_values().items():
            result, error = outcome(name, call, value)
            if error is None:
                check_use(name, result, f"{name}({place}={what})")
                continue
            said = f"{name}({place}={what}): {error}"
            assert any(file in str(error) for file in HERE), said
            assert word in error.message or not says_its_name, said


def outcome(name: str, call: Callable[[Any], Any], value: Any) -> tuple[Any, GraphcError | None]:
    """What a call returns or raises; anything that is no error of ours goes on."""
    try:
        return call(value), None
    except GraphcError as error:
        return None, error
    except OSError:
        if name not in FILES:
            raise
    except TypeError:
        if name not in CALLS_THE_USER:
            raise
    return None, None


def check_use(name: str, result: Any, said: str) -> None:
    """Assert that tensors made of an accepted value have values of the types that they promise.

    An error of ours that only the numbers tell (an index out of range) is an answer as well.
    """
    tensors = [t for t in leaves_of(result) if isinstance(t, gx.Tensor)]
    graph = Graph((), tuple((f"y{i}", t.node) for i, t in enumerate(tensors)))
    types = [n.type for n in graph.nodes]
    if not tensors or not all(isinstance(s, int) for t in types for s in t.shape):
        return  # nothing to compute, or of sizes that no call has said
    if any(isinstance(n.op, ops.SizeOf) for n in graph.nodes) or max(map(size, types)) > MOST:
        return
    feeds = {
        Tensor(n): np.ones([int(s) for s in n.type.shape], n.type.dtype.numpy)  # type: ignore[call-overload]
        for n in graph.nodes
        if isinstance(n.op, ops.Input)
    }
    try:
        found = evaluate(tensors, feeds)
    except GraphcError:
        return
    except TypeError:
        if name != "parameter":  # whose initial value is a function of the user's
            raise
        return
    for array, tensor in zip(found, tensors):
        assert TensorType(find_dtype(array.dtype), array.shape) == tensor.type, said  # type: ignore[arg-type]


def size(t: TensorType) -> int:
    """The number of elements."""
    return int(np.prod([int(s) for s in t.shape], dtype=object))  # type: ignore[call-overload]


def leaves_of(value: Any) -> Iterator[Any]:
    """What tuples, lists and dicts hold."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, (tuple, list)):
        for inside in value:
            yield from leaves_of(inside)
    else:
        yield value


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"compile", "step"}))
def test_nobody_takes_a_foreigner(name: str) -> None:
    for place, call in places(name):
        try:
            call(Foreign())
        except (GraphcError, TypeError, OSError):
            continue
        pytest.fail(f"{name}({place}=<Foreign>) was taken")


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - set(OPERATIONS)))
def test_flags_are_flags_and_names_are_names(name: str) -> None:
    args, named = EXAMPLES[name]()
    parameters = inspect.signature(FUNCTIONS[name]).parameters
    kinds = {word: str(p.annotation) for word, p in parameters.items()}
    wrong: dict[str, tuple[Any, str]] = {
        "bool": (1, "True or False"), "str": (3, "a str"), "int": ("a", "an int"),
        "float": ("a", "a number"),
    }  # fmt: skip
    for word in named:
        value, wanted = wrong.get(kinds.get(word, "").removesuffix(" | None"), (None, ""))
        if wanted and not word.startswith("axis") and word != "name":
            with pytest.raises(ArgumentError) as caught:
                FUNCTIONS[name](*args, **{**named, word: value})
            assert f"{word} must be {wanted}, got {value!r}" in caught.value.message

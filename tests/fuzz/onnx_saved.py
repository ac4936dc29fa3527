"""Every model that we save, run by onnxruntime and by ourselves, against our own results.

Two programs of three are random graphs of all ops (`graphc/testing/graphs.py`, which allow what
roundings may do), one is a random loop with its gradients (`loops`). What cannot be saved must be
refused by name, what onnxruntime has no kernel for is only loaded again.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import onnx

import graphc as gx
from graphc.errors import GraphcError, ShapeError, UnsupportedError
from graphc.frontend.tensor import Tensor
from graphc.ir.types import Array
from graphc.onnx.save import to_model
from graphc.testing import random_graph
from graphc.testing.graph_maker import RandomGraph
from tests.fuzz import loops
from tests.fuzz.loop_machines import Loops
from tests.random_graphs.run import Expected
from tests.tolerances import FUZZ_SAVED

# What onnxruntime 1.31 says where it has no kernel for a type, and where it differs.
NOT_RUN = {
    "Could not find an implementation": "there is no kernel for the type",
    "NOT_IMPLEMENTED": "there is no kernel for the type",
    "Numpy_type 256": "arrays of bfloat16 cannot be given",
    "Tensor Type. bfloat16": "arrays of bfloat16 cannot be returned",
    "dim0_offset < dim0_size was false": "a Scan over no rows, which the format has",
}


def check(seed: int) -> str:
    """Save one program, and run it in two ways."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return check_loop(seed) if seed % 3 == 2 else check_graph(random_graph(seed))


def check_graph(sample: RandomGraph) -> str:
    """The outputs of a random graph that can be saved."""
    kept = [i for i, t in enumerate(sample.outputs) if can_be_saved(t, sample.inputs)]
    if not kept:
        return "refused"
    try:
        gx.compile(sample.inputs, sample.outputs, target="interpret")(*sample.arrays)
    except GraphcError:  # for some sizes there is no result
        return "no result"
    expected = Expected.of(sample.graph, sample)
    expected.ignore_infinite()  # NaN in extremes, and the mean of nothing, differ by runtime
    chosen = Expected([expected.values[i] for i in kept], [expected.allowed[i] for i in kept])
    outputs = {f"y{i}": sample.outputs[i] for i in kept}
    word = "agrees"
    # some kernels of onnxruntime divide by a size of 0, which ends the process
    safe = all(a.size for a in sample.arrays) and 0 not in sample.dims.values()
    for name, found in both(outputs, dict(zip(sample.inputs, sample.arrays)), safe).items():
        if found is None:
            word = "not run"
            continue
        if sample.wild and name == "onnxruntime":
            continue  # the format does not say what an extreme of NaN is
        wrong = chosen.differs(found)
        assert wrong is None, f"{name}: {wrong}"
    return word


def check_loop(seed: int) -> str:
    """A loop and its first derivatives."""
    feeds = loops.arrays(seed)
    given = loops.inputs(len(feeds[5]) if seed % 2 else "rows")
    found = loops.orders_of(loops.loss_of(Loops(), seed, given), given[:3], seed, 1, False)
    outputs = {f"y{k}": t for k, t in enumerate(found) if can_be_saved(t, given)}
    if not outputs:
        return "loop refused"
    function = gx.compile(given, list(outputs.values()), target="interpret")
    wanted = function(*feeds)
    word = f"loop agrees, {'with' if len(outputs) == len(found) else 'without'} gradients"
    for name, arrays in both(outputs, dict(zip(given, feeds))).items():
        if arrays is None:
            word = "loop not run"
            continue
        for k, (a, b) in enumerate(zip(arrays, wanted, strict=True)):
            assert (a.shape, a.dtype) == (b.shape, b.dtype), f"{name}, result {k}: {a} for {b}"
            same = np.allclose(a, b, **FUZZ_SAVED, equal_nan=True)
            assert same, f"{name}, result {k}: {a} for {b}"
    return word


def can_be_saved(y: Tensor, inputs: list[Tensor]) -> bool:
    """Whether a tensor is no refused one."""
    try:
        to_model({"y": y}, inputs)
    except UnsupportedError:
        return False
    return True


def both(
    outputs: dict[str, Tensor], feeds: dict[Tensor, Array], safe: bool = True
) -> dict[str, Any]:
    """What onnxruntime (None where it has no kernel) and we compute from the file."""
    model = to_model(outputs, list(feeds))
    onnx.checker.check_model(model, full_check=False)
    named = {tensor.name: np.asarray(array) for tensor, array in feeds.items()}
    again = gx.onnx.load(model)
    tensors = list(again.inputs.values()), list(again.outputs.values())
    function = gx.compile(*tensors, target="interpret")
    results = {"onnxruntime": theirs(model, named) if safe else None, "loaded again": None}
    try:
        found = function(**{n: named[n] for n in again.inputs})
        results["loaded again"] = [np.asarray(a) for a in found]
    except ShapeError as error:  # an axis of unknown size counts as one of an element at least
        if 0 not in {size for a in named.values() for size in a.shape}:
            raise AssertionError(f"loaded again: {error}") from error
    return results


def theirs(model: Any, named: dict[str, Array]) -> list[Array] | None:
    """What onnxruntime computes."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options)
        fed = {i.name: named[i.name] for i in session.get_inputs()}
        return [np.asarray(a) for a in session.run(None, fed)]
    except Exception as error:
        if any(text in str(error) for text in NOT_RUN):
            return None
        raise AssertionError(f"onnxruntime: {error}") from error

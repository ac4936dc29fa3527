"""Call a compiled function on the minibatches of one epoch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, GraphcError, RuntimeCheckError, ShapeError
from graphc.frontend.seed import generator
from graphc.ir.arrays import convert, label
from graphc.ir.graph import Graph, Node
from graphc.ir.structure import Structure
from graphc.ir.types import Array
from graphc.runtime.backend import HeldData
from graphc.runtime.binding import Binding
from graphc.runtime.failed_check import explain_failure


class StepFunction(Protocol):
    """A compiled function as this module needs it (`function.CompiledFunction`)."""

    graph: Graph
    binding: Binding
    structure: Structure
    rng: Array
    epochs: int

    @property
    def name(self) -> str:
        """What the user called it."""
        ...

    def run(self, arrays: list[Array], dims: Mapping[str, int]) -> list[Array]:
        """The outputs in order as arrays, for bound arrays."""
        ...

    def run_batches(
        self,
        dims: Mapping[str, int],
        arrays: list[Array],
        batched: list[bool],
        order: Array,
        held: HeldData | None = None,
    ) -> list[Array] | None:
        """Step after step over the rows that `order` names, in native code; None without it."""
        ...


def run_epoch(
    function: StepFunction,
    arrays: object,
    batch_size: int,
    shuffle: bool = True,
    drop_last: bool = False,
    seed: int | None = None,
) -> Any:
    """Call a function on minibatches (see `CompiledFunction.run_epoch`)."""
    whole = match_arrays(function.binding, arrays)
    batched = batched_inputs(function, batch_size)
    count = sample_count(function, whole, batched)
    order = epoch_order(function, count, shuffle, seed)
    order = used(order, batch_size, drop_last, function.name)
    check_whole(function, len(order), batch_size)
    return run_rows(function, whole, batched, order, batch_size)


def run_rows(
    function: StepFunction,
    whole: list[Array],
    batched: list[bool],
    order: Array,
    batch_size: int,
    held: HeldData | None = None,
) -> Any:
    """Call a function on batches of the rows that `order` names; the outputs, stacked.

    With `held` the arrays are the same in every call, and nobody changes them.
    """
    chosen = list(batches(order, batch_size))
    full = sum(len(rows) == batch_size for rows in chosen)
    columns: list[list[Array]] = [[] for _ in function.graph.outputs]
    done = 0
    if full:
        bound, dims = function.binding.bind(_rows(whole, batched, chosen[0]), {})
        try:
            together = function.run_batches(dims, whole, batched, order[: full * batch_size], held)
        except RuntimeCheckError as error:
            failed = _rows(whole, batched, chosen[error.step or 0])
            raise explain_failure(function.graph, error, failed, dims, function.rng) from None
        if together is not None:
            done, columns = full, [list(stacked) for stacked in together]
    for rows in chosen[done:]:
        bound, dims = function.binding.bind(_rows(whole, batched, rows), {})
        for column, value in zip(columns, function.run(bound, dims)):
            column.append(value)
    function.epochs += 1
    return function.structure.build([stack(column) for column in columns])


def _rows(whole: Sequence[Array], batched: Sequence[bool], rows: Array) -> list[Array]:
    return [a[rows] if taken else a for a, taken in zip(whole, batched)]


def match_arrays(binding: Binding, arrays: object) -> list[Array]:
    """The arrays in the order of the inputs, of the inputs' dtypes and ranks."""
    name, cast = binding.function, binding.cast
    values = match_values(binding, arrays)
    return [convert(name, n, v, cast) for n, v in zip(binding.inputs, values)]


def match_values(binding: Binding, arrays: object) -> list[object]:
    """What was given for the inputs, in their order."""
    if isinstance(arrays, Mapping):
        return binding.match((), arrays)
    return binding.match(arrays if isinstance(arrays, (list, tuple)) else (arrays,), {})


def batched_inputs(function: StepFunction, batch_size: int) -> list[bool]:
    """For every input, whether its first axis is the batch: the same size as the first input's."""
    integral = isinstance(batch_size, (int, np.integer)) and not isinstance(batch_size, bool)
    if not integral or batch_size < 1:
        raise _error(ArgumentError, function, f"batch_size must be 1 or more, got {batch_size!r}")
    with_axes = [n for n in function.graph.inputs if n.type.ndim]
    if not with_axes:
        raise _error(ArgumentError, function, "no input has a batch axis")
    batch = with_axes[0].type.shape[0]
    if isinstance(batch, int) and batch != batch_size:
        text = f"batch_size is {batch_size}, but input {label(with_axes[0])} has batches of {batch}"
        raise _error(ShapeError, function, text, with_axes[0])
    return [bool(n.type.ndim) and n.type.shape[0] == batch for n in function.graph.inputs]


def sample_count(function: StepFunction, arrays: Sequence[Array], batched: Sequence[bool]) -> int:
    """The number of samples, the same in all batched arrays."""
    found: list[tuple[Node, int]] = []
    for node, array, taken in zip(function.graph.inputs, arrays, batched):
        if taken:
            found.append((node, array.shape[0]))
    first, count = found[0]
    for node, other in found:
        if other != count:
            text = f"{label(first)} has {count} samples, {label(node)} has {other}"
            error = _error(ShapeError, function, text, first, node)
            error.hint = "gx.data.Unpaired makes batches of data that are no pairs"
            raise error
    if not count:
        raise _error(ShapeError, function, f"{label(first)} has no samples", first)
    return count


def check_whole(function: StepFunction, count: int, batch_size: int) -> None:
    """Raise where a last batch is smaller, and the function takes no other size."""
    first = next(n for n in function.graph.inputs if n.type.ndim)
    if isinstance(first.type.shape[0], int) and count % batch_size:
        error = _error(
            ShapeError,
            function,
            f"the last batch of {count} samples would have {count % batch_size},"
            f" but {label(first)} takes {batch_size}",
            first,
        )
        error.hint = "drop_last=True leaves it out; a dim takes any size"
        raise error


def epoch_order(function: StepFunction, count: int, shuffle: bool, seed: int | None) -> Array:
    """The samples in the order of the epoch."""
    if not shuffle:
        return np.arange(count)
    chosen = f"epoch {function.epochs}" if seed is None else "epoch"
    rng = generator(int(function.rng[0]) if seed is None else int(seed), chosen)
    return rng.permutation(count)


def used(order: Array, batch_size: int, drop_last: bool, name: str) -> Array:
    """The indices that batches are made of."""
    stop = len(order) - len(order) % batch_size if drop_last else len(order)
    if not stop:
        raise ShapeError(
            f"{name}: run_epoch: {len(order)} samples make no batch of {batch_size}",
            origin=origins.find_origin(),
            hint="drop_last=False uses the rest",
        )
    return order[:stop]


def batches(order: Array, batch_size: int) -> Iterator[Array]:
    """The indices of every minibatch."""
    for start in range(0, len(order), batch_size):
        yield order[start : start + batch_size]


def stack(values: Sequence[Array]) -> Array | list[Array]:
    """One array with an axis for the steps; a list when the shapes differ."""
    if any(v.shape != values[0].shape for v in values):
        return list(values)
    return np.stack(values)


def _error(kind: type[GraphcError], function: StepFunction, text: str, *nodes: Node) -> GraphcError:
    return kind(
        f"{function.name}: run_epoch: {text}",
        operands=tuple(("wanted", f"{label(n)} {n.type}", n.origin) for n in nodes),
        origin=origins.find_origin(),
    )

"""The reference interpreter: graphs evaluated node by node with numpy."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from graphc import origin as origins
from graphc.errors import (
    GraphcError,
    MemoryBudgetError,
    NameError,
    RuntimeCheckError,
    VerifyError,
)
from graphc.ir.arrays import label
from graphc.ir.dims import evaluate as evaluate_size
from graphc.ir.dims import product
from graphc.ir.graph import Node, describe, topological
from graphc.ir.limits import MAX_ADDRESSABLE_BYTES
from graphc.ir.ops import leaf
from graphc.ir.ops.failure import indexed_axis, indexed_size
from graphc.ir.ops.gather import checked_rows
from graphc.ir.ops.loop import Body, Scan
from graphc.ir.sizes import concrete, concretise
from graphc.ir.storage import stored
from graphc.ir.types import Array, find_dtype

Random = tuple[int, int]  # (seed, step)


class Interpreter:
    """Computes nodes for given sizes and random state."""

    def __init__(self, dims: Mapping[str, int], rng: Random) -> None:
        self.dims = dims
        self.seed, self.step = rng
        self._loops: dict[tuple[Body, tuple[Node, ...]], list[Array]] = {}

    def run(self, roots: Iterable[Node], given: Mapping[Node, Array]) -> list[Array]:
        """The values of the roots; `given` holds those of inputs (and of any other node)."""
        outer, self._loops = self._loops, {}  # loops of other values have other results
        try:
            return self._run(list(roots), given)
        finally:
            self._loops = outer

    def _run(self, roots: list[Node], given: Mapping[Node, Array]) -> list[Array]:
        order = _needed(roots, given)
        last = {i: n for n in order for i in n.inputs}
        values, kept = dict(given), {*roots, *given}
        for node in order:
            values[node] = self.node(node, [values[i] for i in node.inputs])
            for i in dict.fromkeys(node.inputs):
                if last[i] is node and i not in kept:
                    del values[i]
        return [values[n] for n in roots]

    def node(self, node: Node, arrays: list[Array]) -> Array:
        """The value of one node, checked against its type."""
        self._check_dims(node)
        wanted = concrete(node.type, self.dims)
        try:
            if evaluate_size(wanted.nbytes, {}) >= MAX_ADDRESSABLE_BYTES:
                raise MemoryError  # numpy would call the shape invalid
            with np.errstate(all="ignore"):
                result = np.asarray(self.apply(node, arrays))
        except GraphcError as error:
            error.operands = error.operands or describe(node.inputs)
            error.origin = error.origin or node.origin
            raise
        except MemoryError as error:
            raise MemoryBudgetError(
                f"{node.op.name}: {wanted} needs {product(wanted.shape) * wanted.dtype.itemsize}"
                " bytes, which this machine does not give",
                operands=describe(node.inputs),
                origin=node.origin,
            ) from error
        except Exception as error:
            error.add_note(f"while interpreting {node!r} with {self.dims}")
            raise
        found = find_dtype(result.dtype)
        if found != wanted.dtype or result.shape != wanted.shape:
            raise VerifyError(f"{node!r}: evaluate gave {found}{list(result.shape)}, not {wanted}")
        return result

    def apply(self, node: Node, arrays: list[Array]) -> Array:
        """Evaluate an op with numpy; ops that need the interpreter's state are handled here."""
        match node.op:
            case leaf.Input():
                raise _missing(node)
            case Scan():
                return self._scan(node, node.op, arrays)
            case leaf.Parameter():
                return stored(node).memory
            case leaf.SizeOf(size=size):
                return np.asarray(evaluate_size(size, self.dims), np.int64)
            case leaf.Iota(shape=shape, axis=axis, dtype=dtype):
                sizes = tuple(evaluate_size(s, self.dims) for s in shape)
                along = [-1 if i == axis else 1 for i in range(len(sizes))]
                index = np.arange(sizes[axis]).astype(dtype.numpy).reshape(along)
                return np.broadcast_to(index, sizes)
            case leaf.RandomBits(shape=shape, stream=stream):
                sizes = tuple(evaluate_size(s, self.dims) for s in shape)
                return random_bits(self.seed, self.step, stream, sizes)
        op = concretise(node.op, self.dims)
        if op.indices is not None:  # the op does not know which of the user's axes it is
            size = evaluate_size(indexed_size(node), self.dims)
            checked_rows(op.name, arrays[op.indices], size, indexed_axis(node))
        return op.evaluate(*arrays)

    def _scan(self, node: Node, op: Scan, arrays: list[Array]) -> Array:
        """One result of a loop; the loop runs once for all results of equal bodies."""
        key = op.body, node.inputs
        if key not in self._loops:
            self._loops[key] = self._run_loop(op, arrays)
        return self._loops[key][op.index]

    def _run_loop(self, op: Scan, arrays: list[Array]) -> list[Array]:
        length = evaluate_size(op.length, self.dims)
        count = min(length, int(arrays[-1])) if op.counted else length
        carries, read = arrays[: op.carries], arrays[op.carries + op.scanned :]
        stacks = arrays[op.carries : op.carries + op.scanned]
        outputs = op.body.outputs
        rows = [
            np.zeros(
                [length, *(evaluate_size(s, self.dims) for s in n.type.shape)], n.type.dtype.numpy
            )
            for n in outputs[op.carries :]
        ]
        for i in reversed(range(count)) if op.reverse else range(count):
            if op.condition is not None and not carries[op.condition]:
                break
            given = [*carries, *(s[i] for s in stacks), *read]
            try:
                found = self.run(outputs, dict(zip(op.body.inputs, given)))
            except RuntimeCheckError as error:
                if length > 1:  # else it may be a branch of a condition
                    error.message += f", in iteration {i} of a loop"
                raise
            carries = found[: op.carries]
            for stack, row in zip(rows, found[op.carries :]):
                stack[i] = row
        return [*carries, *rows]

    def _check_dims(self, node: Node) -> None:
        for dim in node.type.dims():
            if dim.name not in self.dims:
                raise NameError(
                    f"the size of dim {dim.name} is not known: no input that is given has it",
                    operands=describe((node,)),
                    origin=node.origin,
                )


def _needed(roots: Sequence[Node], given: Mapping[Node, Array]) -> list[Node]:
    """The nodes to compute, each after its inputs."""
    stop = set(given)
    if not any(n.inputs for n in stop):
        return [n for n in topological(roots) if n not in stop]
    needed, stack = set(stop), [n for n in roots if n not in stop]
    while stack:
        node = stack.pop()
        if node not in needed:
            needed.add(node)
            stack.extend(node.inputs)
    return [n for n in topological(roots) if n in needed and n not in stop]


def _missing(node: Node) -> NameError:
    return NameError(
        f"input {label(node)} is not fed",
        operands=(("wanted", f"{label(node)} {node.type}", node.origin),),
        origin=origins.find_origin(),
    )


# ---------------------------------------------------------------------- random numbers

_ROUNDS = 10
_MULTIPLIERS = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_WEYL = 0x9E3779B9, 0xBB67AE85
_LOW = np.uint64(0xFFFFFFFF)
_HALF = np.uint64(32)


def philox(counter: Sequence[Array], key: tuple[int, int]) -> tuple[Array, ...]:
    """Philox 4x32-10 (Salmon et al. 2011): four words (as uint64) of four counter words."""
    c0, c1, c2, c3 = (np.asarray(c, np.uint64) for c in counter)
    k0, k1 = key
    for _ in range(_ROUNDS):
        first, second = c0 * _MULTIPLIERS[0], c2 * _MULTIPLIERS[1]
        c0, c1, c2, c3 = (
            (second >> _HALF) ^ c1 ^ np.uint64(k0),
            second & _LOW,
            (first >> _HALF) ^ c3 ^ np.uint64(k1),
            first & _LOW,
        )
        k0, k1 = (k0 + _WEYL[0]) & 0xFFFFFFFF, (k1 + _WEYL[1]) & 0xFFFFFFFF
    return c0, c1, c2, c3


def random_bits(seed: int, step: int, stream: int, shape: tuple[int, ...]) -> Array:
    """The uint32 bits of a draw.

    Element i (row-major) is word (i >> 4) & 3 of the block with counter words 0 and 1
    = (i >> 6) * 16 + (i & 15), word 2 = step modulo 2**32, word 3 = 0; the key is seed xor stream.
    """
    i = np.arange(int(np.prod(shape, dtype=np.int64)), dtype=np.uint64)
    block = (i >> np.uint64(6)) * np.uint64(16) + (i & np.uint64(15))
    key = (seed ^ stream) & 0xFFFFFFFFFFFFFFFF
    zero = np.zeros_like(i)
    counter = block & _LOW, block >> _HALF, zero + np.uint64(step & 0xFFFFFFFF), zero
    words = np.stack(philox(counter, (key & 0xFFFFFFFF, key >> 32)))
    word = (i >> np.uint64(4)) & np.uint64(3)
    chosen = np.take_along_axis(words, word[None].astype(np.int64), axis=0)[0]
    return np.asarray(chosen.astype(np.uint32).reshape(shape))

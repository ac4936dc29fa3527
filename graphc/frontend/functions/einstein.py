"""Einstein's notation: einsum over any number of operands."""

from __future__ import annotations

from graphc.errors import ArgumentError, ShapeError, UnsupportedError
from graphc.frontend.functions.operands import cast, fail, same_dtype, widened
from graphc.frontend.functions.products import broadcast_batches, contract
from graphc.frontend.functions.shapes import permute_dims, reshape
from graphc.frontend.tensor import Tensor, lift_op
from graphc.frontend.typing import TensorLike
from graphc.ir.dims import Size
from graphc.ir.ops.contract import Labels
from graphc.ir.ops.reduce import Sum
from graphc.ir.ops.view import Slice

Term = tuple[Tensor, Labels]
ELLIPSIS = 1000  # labels of the axes under `...`: 1000 the last one, 1001 the one before it


def einsum(subscripts: str, *operands: TensorLike) -> Tensor:
    """Sum products over labelled axes: "bij,bjk->bik".

    Labels are letters; `...` stands for leading axes that broadcast; a label twice in one operand
    takes its diagonal. Without `->`, labels that occur once come out in alphabetical order.
    Operands are contracted from the left to the right. Raises ArgumentError for malformed
    subscripts and ShapeError where sizes differ.
    """
    if not isinstance(subscripts, str) or not operands:
        fail(ArgumentError, "einsum: needs subscripts and one operand or more")
    tensors = same_dtype("einsum", operands)
    inputs, out = parsed(subscripts, tensors)
    check_sizes(subscripts, tensors, inputs)
    dtype = tensors[0].dtype
    if adds_between(inputs, out):
        tensors = [widened(t) for t in tensors]
    terms = [diagonal(t, labels) for t, labels in zip(tensors, inputs)]
    total, *rest = terms
    for i, term in enumerate(rest):
        needed = set(out).union(*(labels for _, labels in rest[i + 1 :]))
        total = pair(total, term, needed, out if i == len(rest) - 1 else None)
    x, labels = summed(total, set(out))
    sizes = dict(zip(labels, x.shape))
    x = permute_dims(x, tuple(labels.index(label) for label in out if label in sizes))
    return cast(reshape(x, tuple(sizes.get(label, 1) for label in out)), dtype)


def adds_between(inputs: list[Labels], out: Labels) -> bool:
    """Whether sums go into further products."""
    if len(inputs) != 2:
        return len(inputs) > 2
    return not set(inputs[0]) ^ set(inputs[1]) <= set(out)


def parsed(subscripts: str, tensors: list[Tensor]) -> tuple[list[Labels], Labels]:
    """The labels of every operand and of the result, as numbers."""
    text = subscripts.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if len(parts) != len(tensors):
        fail(
            ArgumentError,
            f"einsum: {subscripts!r} has labels for {len(parts)}, got {len(tensors)} operands",
            tensors,
        )
    inputs = [labelled(subscripts, part, tensors, i) for i, part in enumerate(parts)]
    seen = [label for labels in inputs for label in labels]
    dots = sorted({label for label in seen if label >= ELLIPSIS}, reverse=True)
    if not arrow:
        once = sorted({label for label in seen if label < ELLIPSIS and seen.count(label) == 1})
        return inputs, (*dots, *once)
    out: list[int] = []
    for piece in right.replace("...", "."):
        out += dots if piece == "." else [ord(piece)]
    if len(set(out)) != len(out) or not set(out) <= set(seen):
        fail(ArgumentError, f"einsum: {right!r} of {subscripts!r} must name inputs' labels once")
    return inputs, tuple(out)


def labelled(subscripts: str, part: str, tensors: list[Tensor], i: int) -> Labels:
    """The labels of one operand."""
    letters = part.replace("...", ".")
    count = tensors[i].ndim - len(letters.replace(".", ""))
    if letters.count(".") > 1 or (not letters.replace(".", "a").isalpha() and letters):
        fail(ArgumentError, f"einsum: {part!r} of {subscripts!r} is no list of letters", tensors)
    if count < 0 or (count > 0 and "." not in letters):
        fail(
            ShapeError,
            f"einsum: {part!r} of {subscripts!r} does not fit the {tensors[i].ndim} axes of"
            f" {tensors[i].type} (input {i})",
            tensors,
        )
    labels: list[int] = []
    for letter in letters:
        dots = range(ELLIPSIS + count - 1, ELLIPSIS - 1, -1)
        labels += dots if letter == "." else [ord(letter)]
    return tuple(labels)


def check_sizes(subscripts: str, tensors: list[Tensor], inputs: list[Labels]) -> None:
    """Raise where axes of one label have different sizes; only `...` broadcasts."""
    found: dict[int, tuple[Size, int, int]] = {}
    for i, (t, labels) in enumerate(zip(tensors, inputs)):
        for axis, (label, size) in enumerate(zip(labels, t.shape)):
            other, j, place = found.setdefault(label, (size, i, axis))
            if size == other:
                continue
            if label >= ELLIPSIS and (size == 1 or other == 1):
                found[label] = found[label] if size == 1 else (size, i, axis)
                continue
            name = "..." if label >= ELLIPSIS else chr(label)
            fail(
                ShapeError,
                f"einsum: sizes of {name!r} differ in {subscripts!r}: {other} (axis {place} of"
                f" input {j}) vs {size} (axis {axis} of input {i})",
                tensors,
            )


def diagonal(x: Tensor, labels: Labels) -> Term:
    """x without repeated labels: the diagonal over their axes."""
    for label in labels:
        first = labels.index(label)
        if label not in labels[first + 1 :]:
            continue
        second = labels.index(label, first + 1)
        n = x.shape[first]
        if not isinstance(n, int):
            fail(UnsupportedError, f"einsum: no diagonal over the unknown size {n}", (x,))
        rest = tuple(i for i in range(x.ndim) if i not in (first, second))
        moved = permute_dims(x, (*rest, first, second))
        flat = reshape(moved, (*moved.shape[:-2], n * n))
        starts, sizes = (0,) * flat.ndim, (*flat.shape[:-1], n)
        taken = lift_op(Slice(starts, sizes, (*(1,) * len(rest), n + 1)), flat)
        return diagonal(taken, (*(labels[i] for i in rest), label))
    return x, labels


def summed(term: Term, needed: set[int]) -> Term:
    """The term summed over its labels that nothing needs."""
    x, labels = term
    axes = tuple(i for i, label in enumerate(labels) if label not in needed)
    if not axes:
        return term
    return lift_op(Sum(axes), x), tuple(label for label in labels if label in needed)


def pair(a: Term, b: Term, needed: set[int], out: Labels | None) -> Term:
    """The product of two terms, summed over what they share and nothing else needs."""
    x, la = summed(a, needed | set(b[1]))
    y, lb = summed(b, needed | set(la))
    x, la, y, lb = broadcast_batches("einsum", x, la, y, lb)
    present = (*la, *(label for label in lb if label not in la))
    kept = tuple(label for label in (out or present) if label in present and label in needed)
    return contract(x, la, y, lb, kept), kept

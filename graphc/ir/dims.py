"""Sizes: integers, named dims, and polynomials of dims.

A size is an ``int`` or a `Poly`. Every constructor folds, so a size that is known is an ``int``
and two sizes that are equal as polynomials compare equal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Union

Size = Union[int, "Poly"]
Sizes = tuple[Size, ...]
Atom = Union["Dim", "FloorDiv", "MinSize"]
Monomial = tuple[Atom, ...]  # sorted by text; () is the constant term

NOMINAL = 64  # what an unbounded dim counts as when costs are weighed


def is_size(value: object) -> bool:
    """Whether a value is a size rather than a number or a tensor."""
    return isinstance(value, (int, Poly))


class Poly:
    """An integer polynomial over dims, kept in one canonical form."""

    __slots__ = ("_hash", "terms")

    def __init__(self, terms: tuple[tuple[Monomial, int], ...]) -> None:
        self.terms = terms
        self._hash = hash(terms)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Poly):
            return self._hash == other._hash and self.terms == other.terms
        return False

    def __hash__(self) -> int:
        return self._hash

    def __add__(self, other: Size) -> Size:
        return _add(self, other) if is_size(other) else NotImplemented

    __radd__ = __add__

    def __sub__(self, other: Size) -> Size:
        return _add(self, _mul(-1, other)) if is_size(other) else NotImplemented

    def __rsub__(self, other: Size) -> Size:
        return _add(_mul(-1, self), other) if is_size(other) else NotImplemented

    def __mul__(self, other: Size) -> Size:
        return _mul(self, other) if is_size(other) else NotImplemented

    __rmul__ = __mul__

    def __neg__(self) -> Size:
        return _mul(-1, self)

    def __floordiv__(self, other: Size) -> Size:
        return floordiv(self, other) if is_size(other) else NotImplemented

    def __rfloordiv__(self, other: Size) -> Size:
        return floordiv(other, self) if is_size(other) else NotImplemented

    def __bool__(self) -> bool:
        return True

    def __str__(self) -> str:
        text = ""
        for monomial, coefficient in self.terms:
            text += _term_text(monomial, coefficient, first=not text)
        return text

    __repr__ = __str__


class Dim(Poly):
    """A named size that is known when a function is called, at least `min` and at most `max`."""

    __slots__ = ("max", "min", "name")

    def __init__(self, name: str, max: int | None = None, min: int = 0) -> None:
        self.name, self.max, self.min = name, max, min
        self.terms = (((self,), 1),)
        self._hash = hash(("dim", name))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Dim) and other.name == self.name

    __hash__ = Poly.__hash__

    def __str__(self) -> str:
        return self.name

    __repr__ = __str__


@dataclass(frozen=True, eq=False)
class FloorDiv:
    """A floor division that is no polynomial; an atom of its own."""

    numerator: Size
    denominator: Size
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash((self.numerator, self.denominator)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, FloorDiv):
            return False
        mine, others = (self.numerator, self.denominator), (other.numerator, other.denominator)
        return mine == others

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return f"({_factor_text(self.numerator)}//{_factor_text(self.denominator)})"


@dataclass(frozen=True, eq=False)
class MinSize:
    """The minimum of sizes that only the dims can order; an atom of its own."""

    sizes: tuple[Size, ...]
    _hash: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self.sizes))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, MinSize) and self.sizes == other.sizes

    def __hash__(self) -> int:
        return self._hash

    def __str__(self) -> str:
        return f"min({','.join(str(size) for size in self.sizes)})"


def _factor_text(size: Size) -> str:
    return f"({size})" if isinstance(size, Poly) and len(size.terms) > 1 else str(size)


def _term_text(monomial: Monomial, coefficient: int, first: bool) -> str:
    sign = "" if first and coefficient >= 0 else ("-" if coefficient < 0 else "+")
    factors = [str(atom) for atom in monomial]
    if abs(coefficient) != 1 or not factors:
        factors.insert(0, str(abs(coefficient)))
    return sign + "*".join(factors)


def _terms(size: Size) -> tuple[tuple[Monomial, int], ...]:
    if isinstance(size, Poly):
        return size.terms
    return (((), int(size)),) if size else ()


def _make(terms: dict[Monomial, int]) -> Size:
    kept = {monomial: c for monomial, c in terms.items() if c}
    if not kept:
        return 0
    if len(kept) == 1:
        ((monomial, c),) = kept.items()
        if not monomial:
            return c
        if c == 1 and len(monomial) == 1 and isinstance(monomial[0], Dim):
            return monomial[0]
    # the constant term last, the others by degree and name: one order, whatever built the sum
    order = sorted(kept.items(), key=lambda t: (-len(t[0]), [str(atom) for atom in t[0]]))
    return Poly(tuple(order))


def _add(a: Size, b: Size) -> Size:
    total = dict(_terms(a))
    for monomial, c in _terms(b):
        total[monomial] = total.get(monomial, 0) + c
    return _make(total)


def _mul(a: Size, b: Size) -> Size:
    total: dict[Monomial, int] = {}
    for left, c in _terms(a):
        for right, d in _terms(b):
            monomial = tuple(sorted(left + right, key=str))
            total[monomial] = total.get(monomial, 0) + c * d
    return _make(total)


def divide_exactly(a: Size, b: Size) -> Size | None:
    """Return q with q * b == a for every value of the dims, or None when there is none."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b if b and a % b == 0 else None
    if a == b:
        return 1
    divisor = _terms(b)
    if len(divisor) != 1:
        return None
    (monomial, c), quotient = divisor[0], {}
    for term, d in _terms(a):
        left = list(term)
        for atom in monomial:
            if atom not in left:
                return None
            left.remove(atom)
        if d % c:
            return None
        quotient[tuple(left)] = d // c
    return _make(quotient)


def floordiv(a: Size, b: Size) -> Size:
    """a // b, exact where it can be."""
    if isinstance(a, int) and isinstance(b, int):
        return a // b
    exact = divide_exactly(a, b)
    if exact is not None:
        return exact
    if isinstance(b, int) and b > 0:
        return _split_floordiv(a, b)
    return _make({(FloorDiv(a, b),): 1})


def _split_floordiv(a: Size, b: int) -> Size:
    """a // b with the multiples of b taken out; a quotient of a quotient is one quotient."""
    whole = {monomial: c for monomial, c in _terms(a) if monomial and c % b == 0}
    if whole:
        quotient = _make({monomial: c // b for monomial, c in whole.items()})
        return quotient + floordiv(a - _make(whole), b)
    if len(_terms(a)) == 1:
        ((monomial, c),) = _terms(a)
        inner = monomial[0] if len(monomial) == 1 and c == 1 else None
        by = inner.denominator if isinstance(inner, FloorDiv) else 0
        if isinstance(inner, FloorDiv) and isinstance(by, int) and by > 0:
            return floordiv(inner.numerator, by * b)
    return _make({(FloorDiv(a, b),): 1})


def ceildiv(a: Size, b: int) -> Size:
    """The number of blocks of b that cover a."""
    exact = divide_exactly(a, b)
    return exact if exact is not None else floordiv(a + (b - 1), b)


def min_size(*sizes: Size, floor: int = 0) -> Size:
    """The minimum of some sizes; with `floor` no dim is below it."""
    common = _common(sizes)
    rest: list[Size] = []
    for size in sizes:
        rest.extend(_inner_sizes(size - common))
    rest = list(dict.fromkeys(rest))
    kept = [a for i, a in enumerate(rest) if not _dominated(a, i, rest, floor)]
    if len(kept) == 1:
        return common + kept[0]
    return common + _make(
        {(MinSize(tuple(sorted(kept, key=lambda s: (isinstance(s, int), str(s))))),): 1}
    )


def max_size(*sizes: Size, floor: int = 0) -> Size:
    """The maximum of some sizes; with `floor` no dim is below it."""
    return -min_size(*(-size for size in sizes), floor=floor)


def _common(sizes: Sequence[Size]) -> Size:
    """What can be taken from all sizes so that no coefficient is below 0, and one of each is 0."""
    terms = [dict(_terms(size)) for size in sizes]
    every = dict.fromkeys(monomial for found in terms for monomial in found)
    return _make({m: min(found.get(m, 0) for found in terms) for m in every})


def _inner_sizes(size: Size) -> tuple[Size, ...]:
    """The sizes of which a size is the least: of one that is no such atom, itself."""
    terms = _terms(size)
    if len(terms) == 1 and terms[0][1] == 1 and len(terms[0][0]) == 1:
        atom = terms[0][0][0]
        if isinstance(atom, MinSize):
            return atom.sizes
    return (size,)


def _dominated(size: Size, place: int, sizes: Sequence[Size], floor: int) -> bool:
    """Whether another one of the sizes is never larger; of equal ones the first stays."""
    for i, other in enumerate(sizes):
        spare = bound(size - other, floor=floor)
        if i == place or spare is None or spare < 0:
            continue
        back = bound(other - size, floor=floor)
        if back is None or back < 0 or i < place:
            return True
    return False


def product(sizes: Iterable[Size]) -> Size:
    """The product of all sizes; 1 for none."""
    total: Size = 1
    for size in sizes:
        total = total * size
    return total


def evaluate(size: Size, values: Mapping[str, int]) -> int:
    """The number that a size is when the dims have these values."""
    if isinstance(size, int):
        return size
    total = 0
    for monomial, coefficient in size.terms:
        for atom in monomial:
            coefficient *= _atom_value(atom, values)
        total += coefficient
    return total


def _atom_value(atom: Atom, values: Mapping[str, int]) -> int:
    if isinstance(atom, Dim):
        return values[atom.name]
    if isinstance(atom, MinSize):
        return min(evaluate(size, values) for size in atom.sizes)
    return evaluate(atom.numerator, values) // evaluate(atom.denominator, values)


def dims_of(size: Size) -> tuple[Dim, ...]:
    """The distinct dims of a size, in order of appearance."""
    found: dict[str, Dim] = {}
    for monomial, _ in _terms(size):
        for atom in monomial:
            inner = (atom,) if isinstance(atom, Dim) else _inner_dims(atom)
            for d in inner:
                found.setdefault(d.name, d)
    return tuple(found.values())


def operand_sizes(atom: FloorDiv | MinSize) -> tuple[Size, ...]:
    """The operands of an atom."""
    return atom.sizes if isinstance(atom, MinSize) else (atom.numerator, atom.denominator)


def _inner_dims(atom: FloorDiv | MinSize) -> tuple[Dim, ...]:
    return tuple(d for size in operand_sizes(atom) for d in dims_of(size))


def bound(size: Size, low: bool = True, floor: int = 0) -> int | None:
    """The least (or the largest) number that a size can be, as far as the bounds of its dims tell.

    None where they tell nothing. The bound may not be attained. With `floor` no dim is below it.
    """
    if isinstance(size, int):
        return size
    for monomial, coefficient in size.terms:
        if len(monomial) == 1 and isinstance(monomial[0], MinSize):
            return _bound_of_min(size, monomial[0], coefficient, low, floor)
    total = 0
    for monomial, coefficient in size.terms:
        for atom in monomial:
            end = _atom_bound(atom, low == (coefficient > 0), floor)
            if end is None or end < 0:  # of factors of both signs nothing is known
                return None
            coefficient *= end
        total += coefficient
    return total


def _bound_of_min(size: Poly, atom: MinSize, count: int, low: bool, floor: int) -> int | None:
    """The bound of a sum with count * atom: the least (count > 0) or largest of several sums."""
    rest = size - _make({(atom,): count})
    ends = [bound(rest + count * part, low, floor) for part in atom.sizes]
    known = [end for end in ends if end is not None]
    if low == (count > 0) and len(known) < len(ends):
        return None
    return (min if count > 0 else max)(known, default=None)


def _atom_bound(atom: Atom, low: bool, floor: int) -> int | None:
    if isinstance(atom, Dim):
        return max(atom.min, floor) if low else atom.max
    if isinstance(atom, MinSize):
        return bound(_make({(atom,): 1}), low, floor)
    if not isinstance(atom.denominator, int) or atom.denominator < 1:
        return None
    end = bound(atom.numerator, low, floor)
    return None if end is None else end // atom.denominator


def nominal(size: Size, unbounded: int = NOMINAL) -> int:
    """A number for a size while only the bounds of its dims are known.

    A dim counts as its maximum, else as `unbounded`, or as its minimum when that is more.
    """
    if not isinstance(size, Poly):
        return size
    dims = {d.name: max(unbounded, d.min) if d.max is None else d.max for d in dims_of(size)}
    return max(0, evaluate(size, dims))

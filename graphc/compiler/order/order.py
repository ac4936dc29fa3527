"""The order of calls, and barriers between dependent ones.

`order` searches for a legal order that keeps few bytes alive: a beam search over the sets of
calls already done, from the front and from the back, with the order found improved around its
peak. Then barriers go where a call needs another one of the same phase.
"""

from __future__ import annotations

from collections.abc import Sequence

from graphc.compiler.order import search as ordering_search
from graphc.compiler.order.search import Problem
from graphc.errors import VerifyError
from graphc.ir.dims import nominal
from graphc.ir.loops import ir
from graphc.ir.schedule import PARAMETER, RNG, TEMPORARY, KernelCall, Storage, round_up

NO_LIMIT = 1 << 62


def order(calls: Sequence[KernelCall]) -> tuple[tuple[KernelCall, ...], frozenset[int]]:
    """A legal order with a low peak of live bytes, and the positions of barriers.

    The value of a temporary or output is what its writer stores: readers come after it (with
    several writers, the given order says which one a reader follows). A parameter is read
    before it is written. Calls that may fail come before every call that writes a parameter.
    The result depends on the given calls and their symbolic sizes alone. Raises VerifyError
    where no order is legal.
    """
    before = dependencies(calls)
    problem = make_problem(calls, before)
    given = ordering_search.first_order(problem)
    if len(given) < len(calls):
        raise VerifyError(f"calls that wait for each other: {_cycle(calls, before, set(given))}")
    best = ordering_search.best_phased(problem, given)
    return tuple(calls[i] for i in best.order), frozenset(best.barriers)


def barriers(calls: Sequence[KernelCall]) -> frozenset[int]:
    """The fewest positions that separate dependent calls of an order that is already legal."""
    problem = make_problem(calls, dependencies(calls))
    found = ordering_search.phases(problem, list(range(len(calls))), limit=NO_LIMIT)
    return frozenset(found.barriers)


def peak_bytes(calls: Sequence[KernelCall]) -> int:
    """The most bytes of temporaries alive at once, at nominal sizes, if calls do not overlap."""
    problem = make_problem(calls, dependencies(calls))
    return ordering_search.peak(problem, list(range(len(calls))))


def has_check(call: KernelCall) -> bool:
    """Whether the kernel may record a failure."""
    return any(isinstance(stmt, ir.Check) for stmt in ir.walk(call.kernel.body))


# ------------------------------------------------------------------------ dependencies


def dependencies(calls: Sequence[KernelCall]) -> list[set[int]]:
    """For every call, its predecessors."""
    before: list[set[int]] = [set() for _ in calls]
    for storage, (readers, writers) in _uses(calls).items():
        if storage.role in (PARAMETER, RNG):
            _persistent(before, readers, writers)
        elif len(writers) == 1:
            for reader in readers:
                before[reader].add(writers[0])
        elif writers:
            _in_program_order(before, readers, writers)
    _checks_first(calls, before)
    for i, mine in enumerate(before):
        mine.discard(i)
    return before


def _uses(calls: Sequence[KernelCall]) -> dict[Storage, tuple[list[int], list[int]]]:
    """For every storage, who reads and who writes it."""
    uses: dict[Storage, tuple[list[int], list[int]]] = {}
    for i, call in enumerate(calls):
        for storage in dict.fromkeys(call.reads):
            uses.setdefault(storage, ([], []))[0].append(i)
        for storage in dict.fromkeys(call.writes):
            uses.setdefault(storage, ([], []))[1].append(i)
    return uses


def _persistent(before: list[set[int]], readers: list[int], writers: list[int]) -> None:
    """Reading means the value before the step: readers first, then writers as given."""
    for k, writer in enumerate(writers):
        before[writer].update(r for r in readers if r not in writers[k:])
        before[writer].update(writers[:k])


def _in_program_order(before: list[set[int]], readers: list[int], writers: list[int]) -> None:
    """Several writers: reads and writes take effect as given."""
    for k, writer in enumerate(writers):
        last = writers[k + 1] if k + 1 < len(writers) else None
        mine = [r for r in readers if (k == 0 or r > writer) and (last is None or r <= last)]
        for reader in mine:
            before[reader].add(writer)
        if last is not None:
            before[last].update([writer, *mine])


def _checks_first(calls: Sequence[KernelCall], before: list[set[int]]) -> None:
    checks = [i for i, call in enumerate(calls) if has_check(call)]
    for i, call in enumerate(calls):
        if checks and call.commits:
            if i in checks:
                raise VerifyError(f"{call.kernel.name} writes a parameter before its check is seen")
            before[i].update(checks)


def _cycle(calls: Sequence[KernelCall], before: list[set[int]], done: set[int]) -> str:
    """One dependence cycle, as text."""
    path = [min(set(range(len(calls))) - done)]
    while True:
        following = min(before[path[-1]] - done)
        if following in path:
            circle = [*path[path.index(following) :], following]
            return " <- ".join(calls[i].kernel.name for i in circle)
        path.append(following)


# ------------------------------------------------------------------------ the search's view


def make_problem(calls: Sequence[KernelCall], before: list[set[int]]) -> Problem:
    """Calls and temporaries as numbers and masks."""
    index: dict[Storage, int] = {}
    touchers: list[int] = []
    for i, call in enumerate(calls):
        for storage in call.arguments:
            if storage.role == TEMPORARY:
                if storage not in index:
                    index[storage] = len(touchers)
                    touchers.append(0)
                touchers[index[storage]] |= 1 << i
    after: list[list[int]] = [[] for _ in calls]
    for i, mine in enumerate(before):
        for j in sorted(mine):
            after[j].append(i)
    return Problem(
        before=tuple(sum(1 << j for j in mine) for mine in before),
        after=tuple(map(tuple, after)),
        touched=tuple(
            tuple(dict.fromkeys(index[s] for s in call.arguments if s.role == TEMPORARY))
            for call in calls
        ),
        touchers=tuple(touchers),
        sizes=tuple(round_up(nominal(s.type.nbytes)) for s in index),
        swaps=tuple(_swaps(call, index) for call in calls),
    )


def _swaps(call: KernelCall, index: dict[Storage, int]) -> tuple[tuple[int, int], ...]:
    """The in-place pairs of a call that are temporaries of equal size."""
    return tuple(
        (index[written], index[read])
        for written, read in call.in_place
        if written in index and read in index and written.type.nbytes == read.type.nbytes
    )

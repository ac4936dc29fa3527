"""Beam search for an order of calls with a low peak of live bytes.

A storage is alive from its first to its last call, which reads the same from either end: searching
from the back is searching the reversed problem.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

SEARCH_STEPS = 3_000  # about how many one search tries
MAX_BEAM_WIDTH = 96  # sets of done calls that are kept at once
MAX_BRANCHES = 16  # of the ready calls, tried after one of them
IMPROVEMENT_STEPS = 40_000  # about how many moves around the peak may replay
IMPROVED_ORDERS = 3  # how many orders are improved
MANY_CALLS = 24  # up to so many every search is worth its time
MIN_AGREEING_ORDERS = 4  # simple orders that must agree for less to be searched
LOOKAHEAD_CALLS = 24  # in which one is looked for that needs no barrier


@dataclass(frozen=True)
class Problem:
    """A scheduling problem: calls and storages are numbers, sets of calls bit masks.

    `swaps` are the pairs (written, read) of a call whose bytes may be the same if the call is
    the first to touch the one and the last to touch the other.
    """

    before: tuple[int, ...]  # call -> the calls it waits for
    after: tuple[tuple[int, ...], ...]  # call -> the calls that wait for it
    touched: tuple[tuple[int, ...], ...]  # call -> storages
    touchers: tuple[int, ...]  # storage -> calls
    sizes: tuple[int, ...]  # storage -> bytes
    swaps: tuple[tuple[tuple[int, int], ...], ...]

    def reversed(self) -> Problem:
        """The reversed problem."""
        before = tuple(sum(1 << j for j in mine) for mine in self.after)
        after = tuple(map(bit_indices, self.before))
        swaps = tuple(tuple((r, w) for w, r in pairs) for pairs in self.swaps)
        return replace(self, before=before, after=after, swaps=swaps)

    def step(self, done: int, call: int, phase: int = 0) -> tuple[int, int]:
        """Bytes that a call adds while it runs, and after; calls in `phase` may still run."""
        started, left = done | phase, ~(done | phase | 1 << call)
        born = freed = 0
        for s in self.touched[call]:
            mask = self.touchers[s]
            if not mask & started:
                born += self.sizes[s]
            if not mask & left:
                freed += self.sizes[s]
        saved = self._shared(done, call, phase) if self.swaps[call] else 0
        return born - saved, born - freed

    def _shared(self, done: int, call: int, phase: int) -> int:
        """Bytes saved by results that take the place of operands."""
        saved = 0
        used: list[int] = []
        for written, read in self.swaps[call]:
            mask = self.touchers[read]
            last = mask & done and not mask & ~(done | 1 << call)
            first = not self.touchers[written] & (done | phase)
            if last and first and written not in used and read not in used:
                saved += self.sizes[written]
                used += [written, read]
        return saved


class PhasedOrder(NamedTuple):
    """An order, where its barriers are, and the most bytes alive in a phase."""

    order: list[int]
    barriers: list[int]
    peak: int


def bit_indices(mask: int) -> tuple[int, ...]:
    """The numbers of the bits that are set, ascending."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return tuple(found)


def first_order(problem: Problem) -> list[int]:
    """The legal order closest to the given one; shorter than the problem if there is a cycle."""
    waits = [mask.bit_count() for mask in problem.before]
    ready = [i for i, count in enumerate(waits) if not count]
    found = []
    while ready:
        call = heapq.heappop(ready)
        found.append(call)
        for i in problem.after[call]:
            waits[i] -= 1
            if not waits[i]:
                heapq.heappush(ready, i)
    return found


def candidates(problem: Problem, given: list[int]) -> list[list[int]]:
    """Legal orders worth comparing."""
    forward, sure = search(problem)
    if sure:
        return [given, forward]
    back = problem.reversed()
    found = [given, forward, depth_first(problem, True), depth_first(problem, False)]
    found += [depth_first(back, True)[::-1], depth_first(back, False)[::-1]]
    found.sort(key=lambda o: peak(problem, o))
    if len(given) > MANY_CALLS and peak(problem, found[MIN_AGREEING_ORDERS - 1]) == peak(
        problem, found[0]
    ):
        # several ways lead to the same peak: hardly by chance, so a short look around will do
        return [given, improve(problem, found[0], IMPROVEMENT_STEPS // IMPROVED_ORDERS)]
    found.append(search(back)[0][::-1])
    found.sort(key=lambda o: peak(problem, o))
    each = IMPROVEMENT_STEPS // IMPROVED_ORDERS
    return [given, *(improve(problem, o, each) for o in found[:IMPROVED_ORDERS])]


def depth_first(problem: Problem, sooner: bool) -> list[int]:
    """Finish what a call needs before anything else: shallow ends first, deep needs first.

    `sooner` looks at the longest way to a call, else at the number of calls on all its ways.
    """
    weight = _depths(problem) if sooner else _ancestors(problem)
    ends = [i for i, later in enumerate(problem.after) if not later]
    order: list[int] = []
    done = 0
    stack = sorted(ends, key=lambda i: (-weight[i], -i))
    while stack:
        call = stack[-1]
        missing = problem.before[call] & ~done
        if missing:
            stack += sorted(bit_indices(missing), key=lambda i: (weight[i], -i))
            continue
        stack.pop()
        if not done >> call & 1:
            done |= 1 << call
            order.append(call)
    return order


def _depths(problem: Problem) -> list[int]:
    """The depth of each call: the longest path to it."""
    depth = [0] * len(problem.before)
    for call in first_order(problem):
        for i in problem.after[call]:
            depth[i] = max(depth[i], depth[call] + 1)
    return depth


def _ancestors(problem: Problem) -> list[int]:
    """The number of transitive predecessors of each call."""
    needs = list(problem.before)
    for call in first_order(problem):
        for i in problem.after[call]:
            needs[i] |= needs[call]
    return [mask.bit_count() for mask in needs]


# ------------------------------------------------------------------------ beam search


class _State(NamedTuple):
    """Calls done, how good that is, and how it was reached."""

    peak: int
    live: int
    done: int
    ready: tuple[int, ...]
    path: tuple[int, object] | None  # last call, path before it


def search(problem: Problem) -> tuple[list[int], bool]:
    """The best order that a beam search finds, and whether no better one exists."""
    size = len(problem.before)
    width = max(1, min(MAX_BEAM_WIDTH, SEARCH_STEPS // (2 * size + 1)))
    ready = tuple(i for i, mask in enumerate(problem.before) if not mask)
    beam, sure = [_State(0, 0, 0, ready, None)], True
    for _ in range(size):
        found: dict[int, _State] = {}
        for state in beam:
            sure &= len(state.ready) <= MAX_BRANCHES
            for new in _extend(problem, state):
                old = found.get(new.done)
                if old is None or new.peak < old.peak:
                    found[new.done] = new
        sure &= len(found) <= width
        beam = heapq.nsmallest(width, found.values(), key=lambda s: s[:2])
    return _unwind(beam[0]), sure


def _extend(problem: Problem, state: _State) -> Iterator[_State]:
    """The states one call further; only one if some call costs nothing.

    A call that raises neither the peak nor what stays alive may always come at once: it frees
    no less now than it would add later.
    """
    options = []
    for call in state.ready[:MAX_BRANCHES]:
        during, remains = problem.step(state.done, call)
        options.append((call, max(state.peak, state.live + during), state.live + remains))
        if remains <= 0 and state.live + during <= state.peak:
            options = options[-1:]
            break
    for call, peak, live in options:
        done = state.done | 1 << call
        new = [i for i in problem.after[call] if not problem.before[i] & ~done]
        at = state.ready.index(call)
        ready = (*new, *state.ready[:at], *state.ready[at + 1 :])
        yield _State(peak, live, done, ready, (call, state.path))


def _unwind(state: _State) -> list[int]:
    order, path = [], state.path
    while path is not None:
        order.append(path[0])
        path = path[1]  # type: ignore[assignment]
    return order[::-1]


# ------------------------------------------------------------------------ around the peak


def profile(problem: Problem, order: Sequence[int], done: int = 0, live: int = 0) -> list[int]:
    """The bytes alive during every call, one after the other."""
    result = []
    for call in order:
        during, remains = problem.step(done, call)
        result.append(live + during)
        live += remains
        done |= 1 << call
    return result


def peak(problem: Problem, order: Sequence[int]) -> int:
    """The most bytes alive at once, calls running one after the other."""
    return max(profile(problem, order), default=0)


def improve(problem: Problem, order: list[int], effort: int = IMPROVEMENT_STEPS) -> list[int]:
    """Move calls across the peak as long as that lowers it."""
    order, live = list(order), profile(problem, order)
    while effort > 0:
        top = max(live, default=0)
        for start, window in _moves(problem, order, live.index(top) if live else 0):
            effort -= len(window) + len(order) // 8
            old = live[start : start + len(window)]
            new = _window(problem, order, start, window)
            if (max(new), new.count(top)) < (top, old.count(top)):
                order[start : start + len(window)] = window
                live[start : start + len(window)] = new
                break
            if effort <= 0:
                return order
        else:
            break
    return order


def _window(problem: Problem, order: list[int], start: int, window: list[int]) -> list[int]:
    """The profile of calls that would stand in the order from a position on."""
    done = sum(1 << c for c in order[:start])
    live = sum(
        size for mask, size in zip(problem.touchers, problem.sizes) if mask & done and mask & ~done
    )
    return profile(problem, window, done, live)


def _moves(problem: Problem, order: list[int], at: int) -> Iterator[tuple[int, list[int]]]:
    """Ways to begin a storage that lives across a position later, or to be done with it earlier:
    where the order changes, and the calls that stand there instead."""
    if not order:
        return
    position = {call: i for i, call in enumerate(order)}
    early = sum(1 << c for c in order[:at])
    late = sum(1 << c for c in order[at + 1 :])
    across = [
        s for s, mask in enumerate(problem.touchers)
        if mask & early and mask & late and not mask >> order[at] & 1
    ]  # fmt: skip
    needs, needed_by = _ways_to(problem, order, at), _ways_from(problem, order, at)
    for s in sorted(across, key=lambda s: -problem.sizes[s]):
        moved, needed = problem.touchers[s] & early, problem.touchers[s] & late
        if not moved & needs:
            start = min(position[call] for call in bit_indices(moved))
            window = order[start : at + 1]
            yield start, _split(window, _closure(problem, window, moved))
        if not needed & needed_by:
            window = order[at : max(position[call] for call in bit_indices(needed)) + 1]
            for call in reversed(window):
                if needed >> call & 1:
                    needed |= problem.before[call] & ~early
            yield at, _split(window, ~needed)


def _ways_to(problem: Problem, order: list[int], at: int) -> int:
    """The transitive predecessors of the call at a position."""
    needs = problem.before[order[at]]
    for call in reversed(order[:at]):
        if needs >> call & 1:
            needs |= problem.before[call]
    return needs


def _ways_from(problem: Problem, order: list[int], at: int) -> int:
    """The transitive successors of the call at a position."""
    return _closure(problem, order[at + 1 :], 1 << order[at])


def _closure(problem: Problem, calls: list[int], mask: int) -> int:
    """A set of calls with those among `calls` that come after one of them."""
    for call in calls:
        if problem.before[call] & mask:
            mask |= 1 << call
    return mask


def _split(calls: list[int], last: int) -> list[int]:
    """The calls with those of a set at the end."""
    return [c for c in calls if not last >> c & 1] + [c for c in calls if last >> c & 1]


# ------------------------------------------------------------------------ phases


def overlap_limit(peak: int) -> int:
    """The bytes that overlapping calls may take, where one at a time needs `peak`."""
    return peak + peak // 32


def phases(problem: Problem, order: list[int], limit: int | None = None) -> PhasedOrder:
    """Insert barriers for dependences, or where live bytes would exceed `limit`.

    The limit is the peak without overlap and a little more unless one is given.
    """
    limit = overlap_limit(peak(problem, order)) if limit is None else limit
    barriers: list[int] = []
    done = phase = live = during = after = most = 0
    for i, call in enumerate(order):
        added, remains = problem.step(done, call, phase)
        crowded = live + during + added > limit
        if phase and (crowded or problem.before[call] & phase):
            barriers.append(i)
            live += after
            done, phase, during, after = done | phase, 0, 0, 0
            added, remains = problem.step(done, call)
        during += added
        after += remains
        most = max(most, live + during)
        phase |= 1 << call
    return PhasedOrder(order, barriers, most)


def fill_phases(problem: Problem, order: list[int], limit: int, any_size: bool) -> list[int]:
    """Move ready calls into earlier phases as far as memory allows.

    Without `any_size` only those that leave no more bytes alive than there were.
    """
    rest, result = list(order), []
    done = live = 0
    while rest:
        phase = during = after = 0
        kept: list[int] = []
        for k, call in enumerate(rest):
            if k - len(kept) > 0 and len(kept) >= LOOKAHEAD_CALLS:
                kept += rest[k:]
                break
            if problem.before[call] & ~done:
                kept.append(call)
                continue
            added, remains = problem.step(done, call, phase)
            fits = live + during + added <= limit and (any_size or remains <= 0 or not kept)
            if phase and not fits:
                kept.append(call)
                continue
            phase |= 1 << call
            during, after = during + added, after + remains
            result.append(call)
        done, live, rest = done | phase, live + after, kept
    return result


def best_phased(problem: Problem, given: list[int]) -> PhasedOrder:
    """Of the orders with the smallest peak, call by call, the one with the fewest barriers."""
    orders = candidates(problem, given)
    low = min(peak(problem, order) for order in orders)
    orders = [order for order in orders if peak(problem, order) == low]
    limit = overlap_limit(low)
    for any_size in (False, True):
        orders += [fill_phases(problem, order, limit, any_size) for order in orders]
    found = [phases(problem, order, limit) for order in orders]
    return min((f for f in found if f.peak <= limit), key=lambda f: (len(f.barriers), f.peak))

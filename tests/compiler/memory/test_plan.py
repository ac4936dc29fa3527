"""Plans: right by the checker, near the lower bound, the same every time."""

import itertools
import random

import pytest

from graphc.compiler.memory.check import verify
from graphc.compiler.memory.pack import LiveBlock, height, pack, pack_exactly, pack_greedily
from graphc.compiler.memory.plan import plan
from graphc.compiler.order import order as ordering
from graphc.errors import MemoryBudgetError
from graphc.ir.dims import Dim
from graphc.ir.graph import Node
from graphc.ir.ops import leaf
from graphc.ir.schedule import INPUT, OUTPUT, PARAMETER, PREPARED, KernelCall, Schedule, Storage
from graphc.ir.types import TensorType, float32
from graphc.origin import Origin
from tests.compiler.schedules import call, mlp_step, random_calls, schedule, storage


def ordered(calls):
    return schedule(*ordering.order(calls))


def chain(count, size=100, share=False):
    """x -> t0 -> t1 -> ... -> out."""
    values = [storage("x", size, INPUT), *(storage(f"t{i}", size) for i in range(count))]
    values.append(storage("out", size, OUTPUT))
    calls = []
    for i, (a, b) in enumerate(itertools.pairwise(values)):
        calls.append(call(f"k{i}", [a], [b], [(b, a)] if share else []))
    return calls


# ------------------------------------------------------------------------ plans


def test_two_buffers_alternate_along_a_chain():
    made = plan(schedule(chain(6)), {})
    assert made.arena_bytes == made.lower_bound_bytes == 2 * 448  # 400 bytes, aligned
    assert made.timeline == (448, *(5 * [896]), 448)
    assert len(set(made.offsets.values())) == 2


def test_in_place_chain_needs_one_buffer():
    made = plan(schedule(chain(6, share=True)), {})
    assert made.arena_bytes == made.lower_bound_bytes == 448
    assert set(made.offsets.values()) == {0}
    shared = {w.name: r.name for w, r in made.shared.items()}
    assert shared == {f"t{i}": f"t{i - 1}" for i in range(1, 6)}  # never the input or output


def test_lifetimes_are_phases_not_calls():
    x, a, b, c = storage("x", 16, INPUT), storage("a", 16), storage("b", 16), storage("c", 16)
    calls = [call("a", [x], [a]), call("use", [a], [c]), call("b", [x], [b])]
    apart, together = schedule(calls, {1, 2}), schedule(calls, {1})
    assert plan(apart, {}).arena_bytes == 128
    assert plan(together, {}).arena_bytes == 192  # b may be written while a is still read
    assert plan(together, {}).lifetimes == {a: (0, 1), c: (1, 1), b: (1, 1)}


@pytest.mark.parametrize("why", ["later", "beside", "size", "parameter", "twice", "fine"])
def test_operand_is_taken_only_when_nothing_else_needs_it(why):
    size = 16
    a = storage("a", size, PARAMETER) if why == "parameter" else storage("a", size)
    b, c = storage("b", 15 if why == "size" else size), storage("c", size)
    make = call("make", [], [a])
    pairs = [(c, a), (b, a)] if why == "twice" else [(b, a)]
    take = call("take", [a], [b, c] if why == "twice" else [b], pairs)
    use = call("use", [a], [c])
    if why in ("later", "beside"):
        made_schedule = schedule([make, take, use], {1, 2} if why == "later" else {1})
    else:
        made_schedule = schedule([take] if why == "parameter" else [make, take])
    made = plan(made_schedule, {})
    verify(made, made_schedule, {})
    expected = {"twice": {"c": "a"}, "fine": {"b": "a"}}.get(why, {})
    assert {w.name: r.name for w, r in made.shared.items()} == expected


def test_sizes_follow_the_dims():
    batch = Dim("batch", max=256)
    calls = chain(3, batch * 10)
    for value in (0, 1, 7, 256):
        made = plan(schedule(calls), {"batch": value})
        verify(made, schedule(calls), {"batch": value})
        assert made.arena_bytes == 2 * (-(-value * 40 // 64) * 64)


def test_empty_schedule_and_empty_tensors():
    assert plan(schedule([]), {}).arena_bytes == 0
    made = plan(schedule(chain(3, 0)), {})
    assert (made.arena_bytes, set(made.offsets.values())) == (0, {0})
    verify(made, schedule(chain(0)), {})


def test_a_result_that_nobody_reads_still_has_bytes_of_its_own():
    a, b, c = storage("a", 16), storage("b", 16), storage("c", 16)
    both = schedule([call("two", [], [a, b]), call("use", [a], [c])])
    made = plan(both, {})
    verify(made, both, {})
    assert made.offsets[a] != made.offsets[b]
    assert made.arena_bytes == 128


def test_prepared_values_have_a_region_of_their_own():
    w, half = storage("w", 100, PARAMETER), storage("half", 100)
    packed, folded = storage("packed", 100, PREPARED), storage("folded", 3, PREPARED)
    prepare = [
        call("halve", [w], [half]),
        call("pack", [half], [packed]),
        call("fold", [w], [folded]),
    ]
    made_schedule = schedule([call("use", [packed, folded], [storage("t", 5)])], None, prepare)
    made = plan(made_schedule, {})
    verify(made, made_schedule, {})
    assert {s.name: at for s, at in made.prepared.items()} == {"packed": 0, "folded": 448}
    assert made.prepared_bytes == 512
    assert made.lifetimes[half] == (-3, -2)  # the prepare part runs before, in the same arena
    assert (made.arena_bytes, made.lower_bound_bytes, made.timeline) == (448, 448, (64,))


def node_storage(name, size, line):
    type = TensorType(float32, (size,))
    node = Node(leaf.Input(name, type), (), type, Origin("model.py", line), "forward", name)
    return Storage(name, type, "temporary", node)


def test_budget_error_names_what_is_alive():
    big, small = node_storage("hidden", 1000, 5), node_storage("score", 10, 6)
    first = call("matmul", [], [big])
    second = call("reduce", [big], [small])
    second = KernelCall(second.kernel, second.arguments, (small.node,))
    made_schedule = schedule([first, second])
    assert plan(made_schedule, {}, limit=4096).arena_bytes == 4096
    with pytest.raises(MemoryBudgetError) as caught:
        plan(made_schedule, {}, limit=4095)
    lines = str(caught.value).splitlines()
    assert lines[0] == (
        "step: the arena needs 4,096 bytes, 4,095 are allowed (4,096 are alive at once in reduce)"
    )
    assert lines[1].split() == ["0.004", "MB", "hidden", "f32[1000]", "model.py:5"]
    assert caught.value.origin == Origin("model.py", 6)


def test_plan_does_not_depend_on_identities_or_chance():
    def offsets():
        made = plan(ordered(random_calls(80, 3)), {})
        return [(s.name, at) for s, at in made.offsets.items()]

    assert offsets() == offsets()


STEPS = {
    "mlp": lambda: mlp_step([784, 128, 64, 10]),
    "mlp_fused": lambda: mlp_step([784, 128, 64, 10], fused=True),
    "deep": lambda: mlp_step([64] * 30),
    "uneven": lambda: mlp_step([100, 17, 311, 5, 900, 33, 10], batch=37),
    "bottleneck": lambda: mlp_step([784, 512, 64, 8, 64, 512, 784]),
    **{f"random{n}": (lambda n=n: random_calls(n, n)) for n in (10, 25, 60, 200)},
}


@pytest.mark.parametrize("name", STEPS)
def test_arena_is_near_the_lower_bound(name):
    made_schedule = ordered(STEPS[name]())
    made = plan(made_schedule, {})
    verify(made, made_schedule, {})
    assert made.arena_bytes <= 1.05 * made.lower_bound_bytes


@pytest.mark.parametrize("seed", range(30))
def test_random_plans_pass_the_checker(seed):
    rng = random.Random(seed)
    calls, _ = ordering.order(random_calls(rng.randint(1, 40), seed))
    made_schedule = schedule(calls, ordering.barriers(calls))
    made = plan(made_schedule, {})
    verify(made, made_schedule, {})
    assert made.lower_bound_bytes == max(made.timeline)


# ------------------------------------------------------------------------ packing


def random_blocks(count, seed, phases=None):
    rng = random.Random(seed)
    phases = phases or count
    blocks = []
    for _ in range(count):
        first = rng.randrange(phases)
        blocks.append(
            LiveBlock(64 * rng.choice([0, 1, 2, 3, 5, 8]), first, rng.randrange(first, phases))
        )
    return blocks


def most_alive(blocks):
    phases = {p for b in blocks for p in (b.first, b.last)}
    return max(sum(b.size for b in blocks if b.first <= p <= b.last) for p in phases)


def lowest(blocks):
    """The least height, by trying every order of first-fit placement."""
    best = sum(b.size for b in blocks)
    for order in itertools.permutations(range(len(blocks))):
        placed = []
        for i in order:
            b = blocks[i]
            others = sorted(
                (at, at + o.size) for at, o in placed if o.first <= b.last and b.first <= o.last
            )
            at = 0
            for start, end in others:
                if start - at >= b.size:
                    break
                at = max(at, end)
            placed.append((at, b))
        best = min(best, max(at + b.size for at, b in placed))
    return best


def assert_apart(blocks, places):
    for (a, x), (b, y) in itertools.combinations(zip(places, blocks), 2):
        together = x.first <= y.last and y.first <= x.last
        assert not together or a + x.size <= b or b + y.size <= a


@pytest.mark.parametrize("seed", range(12))
def test_small_packings_are_optimal(seed):
    blocks = random_blocks(6, seed, phases=5)
    places = pack(blocks, most_alive(blocks))
    assert_apart(blocks, places)
    assert height(blocks, places) == lowest(blocks)


def cut_rectangle(rng, low, high, first, last, pieces):
    """Blocks that fill bytes low..high in phases first..last without a gap."""
    if pieces == 1 or (high - low == 1 and first == last):
        return [LiveBlock(64 * (high - low), first, last)]
    part = rng.randint(1, pieces - 1)
    if high - low > 1 and (first == last or rng.random() < 0.5):
        at = rng.randrange(low + 1, high)
        return [
            *cut_rectangle(rng, low, at, first, last, part),
            *cut_rectangle(rng, at, high, first, last, pieces - part),
        ]
    at = rng.randrange(first, last)
    return [
        *cut_rectangle(rng, low, high, first, at, part),
        *cut_rectangle(rng, low, high, at + 1, last, pieces - part),
    ]


def test_exact_search_reaches_what_greedy_orders_miss():
    better = 0
    for seed in range(400):
        rng = random.Random(seed)
        blocks = cut_rectangle(rng, 0, 40, 0, 15, 18)
        rng.shuffle(blocks)
        bound = most_alive(blocks)
        greedy, exact = pack_greedily(blocks, bound), pack(blocks, bound)
        assert_apart(blocks, exact)
        assert height(blocks, exact) == bound == 64 * 40
        better += height(blocks, greedy) > bound
    assert better > 1  # otherwise this says nothing about the exact search


def test_exact_search_needs_no_good_start():
    blocks = cut_rectangle(random.Random(5), 0, 20, 0, 11, 10)
    stacked = list(itertools.accumulate((b.size for b in blocks), initial=0))[:-1]
    assert height(blocks, pack_exactly(blocks, 64 * 20, stacked)) == 64 * 20


@pytest.mark.parametrize("count", [30, 100, 300, 1000])
def test_large_packings_are_near_the_bound(count):
    for seed in range(2):
        blocks = random_blocks(count, seed)
        places = pack(blocks, most_alive(blocks))
        if count <= 300:
            assert_apart(blocks, places)
        assert height(blocks, places) <= 1.05 * most_alive(blocks)


def test_checker_accepts_in_place_and_needs_no_temporaries():
    only = Schedule("s", (call("k", [storage("x", 3, INPUT)], [storage("y", 3, OUTPUT)]),))
    verify(plan(only, {}), only, {})

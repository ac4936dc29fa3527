"""The checker finds every way in which a plan or an order can be wrong."""

from dataclasses import replace

import pytest

from graphc.compiler.memory.check import verify, verify_order
from graphc.compiler.memory.plan import plan
from graphc.compiler.order import order as ordering
from graphc.errors import VerifyError
from graphc.ir.schedule import INPUT, OUTPUT, PARAMETER, PREPARED
from tests.compiler.schedules import call, mlp_step, random_calls, schedule, storage


def moved(made, storage, at):
    return replace(made, offsets={**made.offsets, storage: at})


@pytest.fixture
def step():
    """x -> a -> b -> out, with c beside b."""
    x, out = storage("x", 16, INPUT), storage("out", 16, OUTPUT)
    a, b, c = storage("a", 16), storage("b", 16), storage("c", 32)
    calls = [
        call("ka", [x], [a]),
        call("kb", [a], [b]),
        call("kc", [a], [c]),
        call("end", [b, c], [out]),
    ]
    return schedule(calls, {1, 3}), a, b, c


def test_right_plan_passes(step):
    verify(plan(step[0], {}), step[0], {})


def test_storage_without_a_place(step):
    made_schedule, a, _, _ = step
    made = plan(made_schedule, {})
    made = replace(made, offsets={s: at for s, at in made.offsets.items() if s is not a})
    with pytest.raises(VerifyError, match="a has no place"):
        verify(made, made_schedule, {})


@pytest.mark.parametrize(
    ("at", "message"),
    [(8, "a starts at 8, no multiple of 64"), (256, "a ends at 320, outside the 256 bytes"),
     (-64, "a ends at 0, outside")],
)  # fmt: skip
def test_place_outside_the_arena(step, at, message):
    made_schedule, a, _, _ = step
    made = plan(made_schedule, {})
    assert made.arena_bytes == 256
    with pytest.raises(VerifyError, match=message):
        verify(moved(made, a, at), made_schedule, {})


def test_bytes_of_a_living_storage_are_overwritten():
    x, a, b, c = storage("x", 16, INPUT), storage("a", 16), storage("b", 16), storage("c", 16)
    made_schedule = schedule([call("ka", [x], [a]), call("kb", [x], [b]), call("kc", [a, b], [c])])
    made = plan(made_schedule, {})
    with pytest.raises(VerifyError, match="kc reads a but finds b there"):
        verify(moved(made, b, made.offsets[a]), made_schedule, {})


def test_result_over_its_operand_without_leave(step):
    made_schedule, a, b, _ = step
    made = plan(made_schedule, {})
    with pytest.raises(VerifyError, match=r"kb \(b\) and kb \(a\) overlap"):
        verify(moved(made, b, made.offsets[a]), made_schedule, {})


def test_in_place_only_as_a_whole():
    x, a, b = storage("x", 32, INPUT), storage("a", 32), storage("b", 32)
    made_schedule = schedule([call("ka", [x], [a]), call("kb", [a], [b], [(b, a)])])
    made = plan(made_schedule, {})
    verify(made, made_schedule, {})
    assert made.arena_bytes == 128
    wider = replace(made, arena_bytes=192, offsets={a: 0, b: 64})
    with pytest.raises(VerifyError, match="overlap"):
        verify(wider, made_schedule, {})


def test_calls_of_one_phase_meet_in_a_byte(step):
    made_schedule, a, b, c = step
    made = plan(made_schedule, {})
    with pytest.raises(VerifyError, match=r"kb \(b\) and kc \(c\) overlap"):
        verify(replace(made, arena_bytes=999, offsets={a: 0, b: 128, c: 64}), made_schedule, {})


def test_operand_taken_while_another_call_reads_it():
    x, a, b, c = storage("x", 16, INPUT), storage("a", 16), storage("b", 16), storage("c", 16)
    calls = [call("ka", [x], [a]), call("kc", [a], [c]), call("kb", [a], [b], [(b, a)])]
    made_schedule = schedule(calls, {1})
    made = plan(made_schedule, {})
    with pytest.raises(VerifyError, match=r"kb \(b\) and kc \(a\) overlap"):
        verify(moved(made, b, made.offsets[a]), made_schedule, {})


def test_prepared_values_overlap():
    w = storage("w", 16, PARAMETER)
    p, q = storage("p", 16, PREPARED), storage("q", 16, PREPARED)
    use = call("use", [p, q], [storage("t", 1)])
    made_schedule = schedule([use], None, [call("fill", [w], [p, q])])
    made = plan(made_schedule, {})
    verify(made, made_schedule, {})
    with pytest.raises(VerifyError, match="prepared p and q overlap"):
        verify(replace(made, prepared={p: 0, q: 0}), made_schedule, {})


# ------------------------------------------------------------------------ order


def test_dependent_calls_without_a_barrier():
    calls = [call("ka", [], [a := storage("a", 1)]), call("kb", [a], [storage("b", 1)])]
    verify_order(schedule(calls))
    with pytest.raises(VerifyError, match=r"ka \(a\) and kb \(a\) overlap in time"):
        verify_order(schedule(calls, ()))


@pytest.mark.parametrize("role", [PARAMETER, OUTPUT])
def test_reads_and_writes_of_one_phase(role):
    s = storage("s", 1, role)
    calls = [call("first", [], [s]), call("second", [], [s])]
    with pytest.raises(VerifyError, match=r"first \(s\) and second \(s\) overlap in time"):
        verify_order(schedule(calls, ()))


def test_value_that_nothing_wrote():
    a, b = storage("a", 1), storage("b", 1)
    calls = [call("use", [a], [b]), call("make", [], [a])]
    with pytest.raises(VerifyError, match="use reads a, which nothing wrote before"):
        verify_order(schedule(calls))


def test_parameter_that_is_read_too_late():
    w = storage("w", 1, PARAMETER)
    calls = [call("update", [w], [w]), call("use", [w], [storage("a", 1)])]
    with pytest.raises(VerifyError, match="use reads w after it was updated"):
        verify_order(schedule(calls))


@pytest.mark.parametrize("barriers", [None, ()])
def test_check_that_comes_too_late(barriers):
    w = storage("w", 1, PARAMETER)
    commit, check = call("commit", [], [w]), call("check", [], [storage("a", 1)], check=True)
    with pytest.raises(VerifyError, match="check checks after a parameter was written"):
        verify_order(schedule([commit, check], barriers))
    if barriers is not None:
        with pytest.raises(VerifyError, match="check checks after"):
            verify_order(schedule([check, commit], barriers))
    else:
        verify_order(schedule([check, commit]))


@pytest.mark.parametrize("make", [lambda: mlp_step([32, 24, 16, 8]), lambda: random_calls(25, 4)])
def test_every_missing_barrier_of_a_minimal_set_is_found(make):
    calls, _ = ordering.order(make())
    positions = ordering.barriers(calls)
    assert positions
    verify_order(schedule(calls, positions))
    for position in positions:
        with pytest.raises(VerifyError):
            verify_order(schedule(calls, positions - {position}))


@pytest.mark.parametrize("seed", range(5))
def test_every_overlap_of_living_storages_is_found(seed):
    made_schedule = schedule(*ordering.order(random_calls(15, seed)))
    made = plan(made_schedule, {})
    read = {s for c in made_schedule.calls for s in c.reads}
    found = 0
    for a, (_, a_last) in made.lifetimes.items():
        for b, (b_first, b_last) in made.lifetimes.items():
            # b is born while a is alive and will be read
            lives = made.lifetimes[a][0] < b_first <= b_last and b_first <= a_last and a in read
            shares = made.shared.get(b) is a
            if not lives or shares or not made.sizes[a] or not made.sizes[b]:
                continue
            wrong = replace(moved(made, b, made.offsets[a]), arena_bytes=1 << 30)
            if (b, a) in [p for c in made_schedule.calls for p in c.in_place] and b_first == a_last:
                continue
            with pytest.raises(VerifyError):
                verify(wrong, made_schedule, {})
            found += 1
    assert found

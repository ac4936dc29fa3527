"""The interpreter: leaves, sizes, random bits, updates, and what it says when something is off."""

import numpy as np
import pytest

from graphc import errors
from graphc.frontend import symbols
from graphc.frontend.tensor import evaluate, lift, lift_op, literal
from graphc.ir.dims import Dim
from graphc.ir.graph import Graph
from graphc.ir.interpret import philox, random_bits
from graphc.ir.ops import leaf
from graphc.ir.ops.contract import Dot
from graphc.ir.ops.elementwise import Add, Mul
from graphc.ir.ops.gather import Guard, Take
from graphc.ir.sizes import concretise
from graphc.ir.types import bool_, float32, int32
from graphc.runtime.interpret_backend import Executor

# Known answers of philox4x32-10 published with Random123: (counter, key, result).
KNOWN = (
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_philox_known_answers(counter, key, expected):
    words = philox([np.array([c]) for c in counter], key)
    assert tuple(int(w[0]) for w in words) == expected


def test_random_bits_follow_the_counter_layout():
    seed, step, stream = 0x0123456789ABCDEF, 7, 0xFEDCBA9876543210
    bits = random_bits(seed, step, stream, (150,))
    assert bits.dtype == np.uint32
    key = seed ^ stream
    for i in (0, 1, 15, 16, 63, 64, 79, 80, 149):
        block = (i // 64) * 16 + i % 16
        words = philox([np.array([c]) for c in (block, 0, step, 0)], (key & 0xFFFFFFFF, key >> 32))
        assert bits[i] == words[i // 16 % 4][0]


def test_random_bits_depend_on_seed_step_and_stream_alone():
    base = random_bits(1, 2, 3, (4, 5))
    assert np.array_equal(base, random_bits(1, 2, 3, (20,)).reshape(4, 5))
    for other in ((2, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert not np.array_equal(base, random_bits(*other, (4, 5)))
    assert random_bits(1, 2, 3, (0, 4)).shape == (0, 4)


def test_random_node_draws_from_seed_and_step():
    bits = lift_op(leaf.RandomBits((3, 2), stream=9))
    assert np.array_equal(evaluate([bits], {}, rng=(5, 6))[0], random_bits(5, 6, 9, (3, 2)))


def test_leaves():
    n = Dim("n")
    x = symbols.input("x", (n, 2))
    rows = lift_op(leaf.Iota((n, 2), 0, int32))
    columns = lift_op(leaf.Iota((n, 2), 1, int32))
    double = lift_op(leaf.SizeOf(n * 2 + 1))
    w = symbols.parameter("w", value=np.arange(4, dtype="float32"))
    got = evaluate([rows, columns, double, w, literal(2, int32), x], {x: np.ones((3, 2), "f4")})
    assert got[0].tolist() == [[0, 0], [1, 1], [2, 2]]
    assert got[1].tolist() == [[0, 1]] * 3
    assert got[2] == 7
    assert got[3].tolist() == [0, 1, 2, 3]
    assert got[4] == 2
    assert got[5].shape == (3, 2)


def test_concretise_replaces_sizes_wherever_they_are():
    n = Dim("n")
    op = concretise(leaf.Iota((n, 3, n * 2), 0, int32), {"n": 4})
    assert op == leaf.Iota((4, 3, 8), 0, int32)
    dot = Dot((0, 1), (1, 2), (0, 2))
    assert concretise(dot, {"n": 4}) is dot


def test_matmul_and_sharing():
    x = symbols.input("x", (2, 3))
    h = lift_op(Dot((0, 1), (2, 1), (0, 2)), x, x)
    a = np.arange(6, dtype="f4").reshape(2, 3)
    assert np.array_equal(evaluate([lift_op(Add(), h, h)], {x: a})[0], 2 * (a @ a.T))


def test_feeds_of_inner_names_are_refused():
    x = symbols.input("x", (2,))
    y = lift_op(Add(), x, x)
    with pytest.raises(errors.ArgumentError, match="feeds maps inputs to arrays"):
        evaluate([y], {y: np.zeros(2, "f4")})


def test_missing_feed_is_named():
    x, y = symbols.input("x", (2,)), symbols.input("why", (2,))
    with pytest.raises(errors.NameError, match="input why is not fed"):
        evaluate([lift_op(Add(), x, y)], {x: np.zeros(2, "f4")})


def test_unknown_size_is_named():
    ones = lift_op(leaf.Iota((Dim("n"),), 0, int32))
    with pytest.raises(errors.NameError, match="dim n is not known"):
        evaluate([ones], {})


def test_deep_graphs_need_no_recursion():
    x = symbols.input("x", ())
    y = x
    for _ in range(20_000):
        y = lift_op(Add(), y, x)
    assert evaluate([y], {x: 1.0})[0] == 20_001


def test_eval_method():
    x = symbols.input("x", ("n",))
    assert lift_op(Mul(), x, x).eval({x: [1.0, 2.0, 3.0]}).tolist() == [1, 4, 9]


def test_data_checks_carry_the_users_line():
    x, i = symbols.input("x", (3, 2)), symbols.input("i", ("n",), "int32")
    rows = lift_op(Take(), x, i)
    with pytest.raises(errors.RuntimeCheckError, match=r"index 3 at \[1\] is out of") as caught:
        evaluate([rows], {x: np.zeros((3, 2)), i: np.array([0, 3], "i4")})
    assert caught.value.origin == rows.node.origin
    assert caught.value.operands[1][1] == "i i32[n]"


def test_executor_updates_after_everything_succeeded():
    w = symbols.parameter("w", value=np.float32(1))
    ok = symbols.input("ok", (), bool_)
    new = lift_op(Add(), w, literal(1.0, float32))
    guarded = lift_op(Guard("not ok"), w, ok)
    graph = Graph((ok.node,), (("w", w.node),), ((w.node, new.node), (v := _other(guarded))))
    run, rng = Executor(graph), np.zeros(2, np.uint64)
    before = v[0].handle.value
    with pytest.raises(errors.RuntimeCheckError, match="not ok"):
        run([np.array(False)], {}, rng)
    assert w.value == 1
    assert v[0].handle.value == before
    assert rng[1] == 0
    (old,) = run([np.array(True)], {}, rng)
    assert old == 1
    assert rng[1] == 1
    assert w.value == 2
    assert v[0].handle.value == 1
    assert w.version[0] == 2  # its first value, and the update


def _other(new):
    v = symbols.parameter("v", ())
    return v.node, new.node


def test_executor_swaps_parameters():
    a = symbols.parameter("a", value=np.float32([1, 2]))
    b = symbols.parameter("b", value=np.float32([3, 4]))
    Executor(Graph((), (), ((a.node, b.node), (b.node, a.node))))([], {}, np.zeros(2, np.uint64))
    assert a.value.tolist() == [3, 4]
    assert b.value.tolist() == [1, 2]


def test_outputs_own_their_memory():
    w = symbols.parameter("w", value=np.float32([1, 2]))
    x = symbols.input("x", (2,))
    given = np.float32([5, 6])
    run = Executor(Graph((x.node,), (("w", w.node), ("x", x.node))))
    first, second = run([given], {}, np.zeros(2, np.uint64))
    first[0], second[0] = 9, 9
    assert w.value.tolist() == [1, 2]
    assert given.tolist() == [5, 6]


def test_a_value_that_does_not_fit_in_memory():
    huge = lift_op(leaf.Iota((2**40, 2**10), 0, int32))
    with pytest.raises(errors.MemoryBudgetError, match=r"iota: i32.* needs 4503599627370496 bytes"):
        evaluate([huge], {})


def test_constant_weights_python_numbers_weakly():
    assert lift(np.float32([1])).dtype == float32
    assert symbols.constant([1, 2]).dtype == int32
    assert symbols.constant([[1.0, 2.0]]).dtype == float32

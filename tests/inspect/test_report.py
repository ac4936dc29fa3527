"""Memory, cost, reports and tables of parameters."""

import pytest

import graphc as gx
from graphc.errors import ArgumentError, UnsupportedError
from graphc.inspect.cost import Cost, Machine, cost
from graphc.inspect.memory import memory, saved_storages
from graphc.inspect.report import kernels, report, source
from graphc.inspect.summary import summary
from graphc.ir.graph import Graph
from tests.inspect.programs import classifier, program


def test_memory_of_a_training_step():
    made = program(classifier())
    found = memory(made)
    plan = made.plan({"batch": 64})  # a dim without bounds counts as 64
    assert found.arena_bytes == plan.arena_bytes
    assert found.lower_bound_bytes == max(live for _, live in found.timeline)
    # the hidden layer is all that the backward half reads from the forward half
    assert [s.node.op.name for s in saved_storages(made.schedule)] == ["relu"]
    assert found.saved_bytes == 64 * 16 * 4
    # and the learning rate, a float64
    assert found.parameter_bytes == 4 * (20 * 16 + 16 + 16 * 4 + 4) + 8
    assert len(found.timeline) == len(made.schedule.barriers) + 1
    assert " ".join(c.kernel.name for c in made.schedule.calls) == " ".join(
        n for n, _ in found.timeline
    )
    lines = str(found).splitlines()
    assert lines[0].startswith("arena ")
    assert lines[1].split()[-7:] == ["half", "4.1", "kB", "part", "of", "the", "arena"]


def test_inference_keeps_nothing():
    x, w = gx.input("x", (8, 8)), gx.parameter("w", (8, 8))
    graph = Graph((x.node,), (("y", gx.nn.relu(gx.nn.relu(x @ w) @ w).node),))
    found = memory(program(graph))
    assert found.saved_bytes == 0
    assert found.parameter_bytes == 256


def test_cost_is_the_sum_over_kernels():
    made = program(classifier())
    listed = kernels(made)
    assert cost(made).flops == sum(k.cost.flops for k in listed)
    assert cost(made).bytes == sum(k.cost.bytes for k in listed)
    # three contractions of the first layer's size would be too many: no gradient for x
    assert 2 * 2 * 64 * 20 * 16 <= cost(made).flops <= 3 * 2 * 64 * 20 * 16


def test_time_bound_is_the_slower_of_compute_and_memory():
    machine = Machine(flops_per_second=1e9, bytes_per_second=1e8)
    assert Cost(2_000_000, 0).seconds(machine) == pytest.approx(2e-3)
    assert Cost(2_000_000, 10).seconds(machine, threads=2) == pytest.approx(1e-3)
    assert Cost(0, 1_000_000).seconds(machine, threads=2) == pytest.approx(1e-2)


def test_kernel_facts():
    made = program(classifier())
    listed = kernels(made)
    assert [k.name[4:] for k in listed] == [c.kernel.name for c in made.schedule.calls]
    assert [k.phase for k in listed] == list(made.schedule.phases())
    assert {k.part for k in listed} == {"forward", "backward", "update"}
    assert [k.part == "update" for k in listed] == [c.commits for c in made.schedule.calls]
    assert all(k.lines.startswith("programs.py:") for k in listed)
    assert all(k.bound in ("compute", "memory") and k.seconds > 0 for k in listed)


def test_report_lists_kernels_totals_and_memory():
    made = program(classifier())
    lines = report(made).splitlines()
    assert lines[0] == (
        f"train: {len(made.schedule.calls)} kernels in {len(made.schedule.barriers) + 1} phases,"
        " threads not settled, batch=64"
    )
    assert lines[2].split()[:4] == ["kernel", "phase", "part", "FLOP"]
    for i, (row, call) in enumerate(zip(lines[3:], made.schedule.calls)):
        assert row.startswith(f"k{i:02}_{call.kernel.name}"[:39])
        assert "programs.py:" in row
    assert any(row.startswith("total") for row in lines)
    assert any(row.startswith("kept for the backward half") for row in lines)
    assert len({row.index("programs.py") for row in lines if "programs.py" in row}) == 1


class Compiled:
    """As much of a compiled function as is looked at."""

    def __init__(self, program, dims, threads, code=None):
        self.program, self.name = program, "train"
        facts = {"threads": threads, "languages": (), "machine": None, "launches": tuple}
        runner = type("Runner", (), facts)()
        if code:
            runner.source, runner.languages = code, ("llvm",)
        self.variants = [type("Variant", (), {"dims": dims, "runner": runner})()]


def test_first_sizes_and_threads_of_a_function():
    made = Compiled(program(classifier()), (("batch", 10),), 2)
    first = report(made).splitlines()[0]
    assert first.endswith("phases, 2 threads, batch=10")
    assert memory(made).saved_bytes == 10 * 16 * 4
    assert {k.threads for k in kernels(made)} <= {1, 2}


def test_source_comes_from_a_variant():
    made = Compiled(
        program(classifier()), (("batch", 10),), 2, code=lambda language: f"; {language}"
    )
    assert source(made, "llvm") == "; llvm"
    with pytest.raises(UnsupportedError, match="train: there is no generated code"):
        source(Compiled(program(classifier()), (("batch", 10),), 2), "llvm")


# ------------------------------------------------------------------------ summary


def test_logistic_classifier_has_7850_numbers():
    x = gx.input("x", ("batch", 784))
    dense = gx.nn.Dense(10, name="dense")
    y = dense(x)
    for what in (y, dense, [y, {"again": y}]):
        found = summary(what)
        assert (found.total, found.trainable) == (7850, 7850)
        assert "7,850" in found
    assert str(summary(y)) == (
        "layer     type         numbers    bytes\n"
        "---------------------------------------\n"
        "dense                    7,850  31.4 kB\n"
        "  kernel  f32[784,10]    7,840\n"
        "  bias    f32[10]           10\n"
        "---------------------------------------\n"
        "total                    7,850  31.4 kB"
    )
    assert repr(summary(y)) == str(summary(y))


@pytest.mark.parametrize(("n", "k"), [(784, 10), (3, 2), (1, 1)])
def test_affine_classifier_has_n_plus_1_times_k_numbers(n, k):
    dense = gx.nn.Dense(k)
    dense(gx.input("x", (5, n)))
    assert summary(dense).total == (n + 1) * k


def test_model_lists_layers_in_order_also_without_parameters():
    model = gx.nn.Sequential(
        [gx.nn.Dense(8, "relu"), gx.nn.Dropout(0.5), gx.nn.relu, gx.nn.Dense(3)], name="net"
    )
    model(gx.input("x", (4, 5)))
    found = summary(model)
    assert [row.count for row in found.rows] == [48, 0, 0, 27]
    assert [row.kind for row in found.rows] == ["Dense", "Dropout", "function", "Dense"]
    assert found.rows[0].name == "net/dense"
    assert found.total == 75


def test_layers_that_were_called_show_what_they_gave():
    layers = [gx.nn.Dense(8, "relu"), gx.nn.Dropout(0.5), gx.nn.Dense(3)]
    model = gx.nn.Sequential(layers, name="net")
    model(gx.input("x", ("batch", 5)))
    found = summary(model)
    assert [str(row.output) for row in found.rows] == ["f32[batch,8]"] * 2 + ["f32[batch,3]"]
    assert found.rows[0].flops == 2 * 5 * 8 + 8 + 8  # products and sums, bias, relu
    assert found.rows[2].flops == 2 * 8 * 3 + 3
    head, *_ = found.splitlines()
    assert head.split() == ["layer", "output,", "type", "numbers", "bytes", "output", "FLOPs"]
    assert f"{4 * (8 + 8 + 3)} B" in found.splitlines()[-1]


def test_shared_layer_counts_once():
    dense = gx.nn.Dense(4, name="shared")
    x = gx.input("x", (2, 4))
    assert summary(dense(dense(x))).total == 20
    assert summary(gx.nn.Sequential([dense, dense])).total == 20


def test_numbers_that_are_not_trained_are_told_apart():
    a, b = gx.parameter("a", (3,)), gx.parameter("mean", (4,), trainable=False)
    found = summary(a.sum() + b.sum())
    assert (found.total, found.trainable) == (7, 3)
    assert "f32[4], not trained" in found
    assert [row.split() for row in found.splitlines()[-2:]] == [
        ["trained", "3"],
        ["not", "trained", "4"],
    ]


def test_nothing_to_summarise():
    assert summary(gx.input("x", (2,))).total == 0
    with pytest.raises(ArgumentError, match="summary: needs a model or tensors, got int"):
        summary(3)

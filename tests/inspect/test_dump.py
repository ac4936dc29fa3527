"""The files that GRAPHC_DUMP leaves."""

import os
import sys

import pytest

from graphc.inspect import dump
from graphc.inspect.dump import Dump, safe
from graphc.inspect.graph_printer import graph_text
from graphc.ir.loops.kernel_printer import kernel_text
from tests.inspect.programs import classifier, program, scaled_sum


def names(directory):
    return sorted(p.relative_to(directory).as_posix() for p in directory.rglob("*") if p.is_file())


def test_every_stage_is_a_numbered_file(tmp_path):
    made = program(classifier())
    Dump(tmp_path / "new", "train").program(made, {"batch": 4})
    found = names(tmp_path / "new")
    last = len(made.trace) + 1
    assert {"00_defined.txt", "00_defined.dot", "index.txt", "report.txt"} <= set(found)
    assert {f"{last:02}_schedule.txt", f"{last + 1:02}_memory.txt"} <= set(found)
    for i, call in enumerate(made.schedule.calls):
        path = tmp_path / "new" / f"kernels/k{i:02}_{call.kernel.name}.txt"
        assert path.read_text() == kernel_text(call.kernel)
    assert (tmp_path / "new/00_defined.txt").read_text() == graph_text(made.defined)
    rows = (tmp_path / f"new/{last + 1:02}_memory.txt").read_text().splitlines()
    for storage, at in made.plan({"batch": 4}).offsets.items():
        assert any(row.startswith(f"{at:>12,}") and storage.name in row for row in rows)


def test_pass_that_changed_nothing_counts_but_writes_nothing(tmp_path):
    made = Dump(tmp_path)
    made.stage("defined", scaled_sum())
    made.stage("nothing", scaled_sum(), changed=False)
    made.stage("something", scaled_sum())
    assert [n for n in names(tmp_path) if n.endswith("txt")] == [
        "00_defined.txt", "02_something.txt", "index.txt",
    ]  # fmt: skip


def test_functions_of_one_run_do_not_overwrite_each_other(tmp_path):
    for name in ("train", "a/b c", "train"):
        Dump(tmp_path, name).stage("defined", scaled_sum())
    assert [n for n in names(tmp_path) if n.endswith(".txt")] == [
        "00_defined.txt", "02_a_b_c/00_defined.txt", "03_train/00_defined.txt", "index.txt",
    ]  # fmt: skip
    assert (tmp_path / "index.txt").read_text().splitlines()[1:] == [
        "01 train: .", "02 a/b c: 02_a_b_c", "03 train: 03_train",
    ]  # fmt: skip


def test_the_next_run_begins_again(tmp_path, monkeypatch):
    Dump(tmp_path, "old")
    monkeypatch.setattr(dump, "STARTED", dump.STARTED + 1)
    assert Dump(tmp_path, "new").directory == tmp_path
    assert (tmp_path / "index.txt").read_text().splitlines()[1:] == ["01 new: ."]


def test_directory_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"GRAPHC_DUMP: cannot write to .*file"):
        Dump(tmp_path / "file")
    with pytest.raises(NotADirectoryError, match="GRAPHC_DUMP"):
        Dump(tmp_path / "file" / "below")


@pytest.mark.skipif(sys.platform == "win32" or os.getuid() == 0, reason="root may write anywhere")
def test_directory_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(PermissionError, match="GRAPHC_DUMP"):
        Dump(tmp_path / "new")


def test_failed_write_leaves_no_file(tmp_path, monkeypatch):
    made = Dump(tmp_path)

    def broken(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", broken)
    with pytest.raises(OSError, match="No space left on device"):
        made.write("a.txt", "x")
    assert names(tmp_path) == ["index.txt"]


def test_names_of_files():
    assert safe("k03_mul/sigmoid: 2") == "k03_mul_sigmoid_2"
    assert safe("") == "_"
    assert len(safe("x" * 500)) == 80

"""Libraries for Windows and macOS: run under Wine, else read by other programs than ours."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import UnsupportedError
from graphc_llvm.target import export_target
from tests.export import windows
from tests.export.test_targets import equal, parameters_of, trained, training
from tests.export.trained import network

Array = np.ndarray[Any, Any]
DLLS = ["x86_64-pc-windows-msvc", "x86_64-pc-windows-gnu"]
DYLIBS = ["x86_64-apple-macos", "arm64-apple-macos"]
needs_lld_link = pytest.mark.skipif(shutil.which("lld-link") is None, reason="needs lld-link")
needs_zig = pytest.mark.skipif(find_spec("ziglang") is None, reason="needs ziglang")


def exported(folder: Path, target: str) -> dict[str, Any]:
    step, predict = network()
    step.export(folder, name="net", target=target, also={"predict": predict})
    facts: dict[str, Any] = json.loads((folder / "net.json").read_text())
    return facts


def listed(*command: Any) -> str:
    if shutil.which(command[0]) is None:
        pytest.skip(f"needs {command[0]}")
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def declared(header: str) -> set[str]:
    return set(re.findall(r"\b(net_\w+)\(", header))


@pytest.mark.parametrize("target", DLLS)
def test_training_with_a_dll(target: str, tmp_path: Path) -> None:
    if windows.wine() is None or not all(map(shutil.which, windows.TOOLS)):
        pytest.skip(f"needs wine, {', '.join(windows.TOOLS)}")
    facts = exported(tmp_path, target)
    memory, calls = training(facts)
    results = ["loss", "best", "saved"]
    program = windows.link(export_target(target), tmp_path, "net", calls, memory, results)
    found = windows.run(program, memory, results)
    wanted = trained(fused=False)
    parameters = parameters_of(found.pop("saved"), wanted)
    equal(found | parameters, wanted)


@needs_lld_link
@pytest.mark.parametrize("target", [*DLLS, "aarch64-pc-windows-msvc"])
def test_dlls_export_the_header_and_import_nothing(target: str, tmp_path: Path) -> None:
    facts = exported(tmp_path, target)
    assert facts["files"]["library"] == "net.dll"
    assert facts["files"]["import_library"] == "net.lib"
    assert set(facts["needs"]) <= {"memcpy", "memset", "_fltused", "__chkstk", "___chkstk_ms"}
    assert facts["sections"]["code"] > 10_000
    table = listed("llvm-readobj", "--coff-exports", "--coff-imports", tmp_path / "net.dll")
    header = (tmp_path / "net.h").read_text()
    assert set(re.findall(r"Name: (net_\w+)", table)) == declared(header)
    assert "Import" not in table
    for name in declared(header):
        assert re.search(rf"^NET_API [\w *]*\b{name}\(", header, re.MULTILINE), name
    undefined = listed("llvm-nm", "-u", tmp_path / "net.o").replace(" U ", "").split()
    assert sorted(undefined) == facts["needs"]
    again = tmp_path / "again"
    exported(again, target)
    for file in again.iterdir():
        assert file.read_bytes() == (tmp_path / file.name).read_bytes(), file.name
    with pytest.raises(UnsupportedError, match=f"for {target}, this machine is"):
        gx.load_library(tmp_path)


@needs_zig
@pytest.mark.parametrize("target", DYLIBS)
def test_dylibs_export_the_header_and_name_no_path(target: str, tmp_path: Path) -> None:
    lief = pytest.importorskip("lief")
    facts = exported(tmp_path, target)
    binary = lief.MachO.parse(str(tmp_path / "net.dylib")).at(0)
    assert [x.name for x in binary.libraries] == ["@rpath/net.dylib", "/usr/lib/libSystem.B.dylib"]
    wanted = declared((tmp_path / "net.h").read_text())
    assert {f"_{name}" for name in wanted} <= {str(s.name) for s in binary.exported_symbols}
    needed = {str(s.name) for s in binary.imported_symbols} - {"dyld_stub_binder"}
    assert needed == {f"_{name}" for name in facts["needs"]} <= {"_memcpy", "_memset", "_bzero"}
    assert target.startswith("x86") or binary.has_code_signature  # Apple's processors want one
    assert str(tmp_path).encode() not in (tmp_path / "net.dylib").read_bytes()
    with pytest.raises(UnsupportedError, match="this machine is"):
        gx.load_library(tmp_path)


@pytest.mark.parametrize("target", DYLIBS)
def test_archives_of_macos_are_indexed(target: str, tmp_path: Path) -> None:
    facts = exported(tmp_path, target)
    index = listed("llvm-nm", "--print-armap", tmp_path / "net.a").split("\n\n")[0]
    wanted = declared((tmp_path / "net.h").read_text())
    found = dict(line.split(" in ") for line in index.splitlines()[1:])
    assert set(found) == {f"_{name}" for name in wanted}
    assert found["_net_selftest"] == "net_selftest.o"
    assert found["_net_step"] == "net.o"
    (tmp_path / "main.c").write_text(
        '#include "net.h"\nint main(void) { return net_selftest() != NET_OK; }\n'
    )
    undefined = listed("llvm-nm", "-u", tmp_path / "net.o").replace(" U ", "").split()
    assert sorted(undefined) == sorted(f"_{name}" for name in facts["needs"])
    if find_spec("ziglang"):
        system = f"{target.split('-')[0].replace('arm64', 'aarch64')}-macos"
        command = ["python", "-m", "ziglang", "cc", "-target", system, "main.c", "net.a"]
        subprocess.run([*command, "-o", "main"], cwd=tmp_path, check=True)
        assert (tmp_path / "main").read_bytes()[:4] == b"\xcf\xfa\xed\xfe"

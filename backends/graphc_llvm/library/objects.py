"""From LLVM text to object files; foreign targets in a process of their own.

LLVM ends the whole process where a target cannot have an instruction: that must not be ours.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from llvmlite import binding

from graphc.errors import UnsupportedError
from graphc_llvm.runtime.session import Machine, compile_text, host
from graphc_llvm.target import Target

_CHILD = """\
import sys
from pathlib import Path
from graphc_llvm.runtime.session import Machine, compile_text
source, result, triple, cpu, features = sys.argv[1:]
text = Path(source).read_text(encoding="utf-8")
Path(result).write_bytes(compile_text(text, Machine(triple, cpu, features)))
"""


def compile_object(text: str, target: Target, what: str) -> bytes:
    """Object code; raises UnsupportedError where the target cannot have it."""
    machine = Machine(target.triple, target.cpu, target.features)
    if machine.architecture == host().architecture:
        return compile_text(text, machine)
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder, "module.ll"), Path(folder, "module.o")
        source.write_text(text, encoding="utf-8")
        command = [sys.executable, "-c", _CHILD, str(source), str(result), machine.triple,
                   machine.cpu, machine.features]  # fmt: skip
        paths = {"PYTHONPATH": _python_path()}
        done = subprocess.run(command, capture_output=True, text=True, env=_environment(paths))
        if done.returncode or not result.exists():
            raise _refused(done.stderr, target, what)
        return result.read_bytes()


def _python_path() -> str:
    import os

    return os.pathsep.join(p for p in sys.path if p)


def _environment(extra: dict[str, str]) -> dict[str, str]:
    import os

    return dict(os.environ) | extra


def _refused(stderr: str, target: Target, what: str) -> UnsupportedError:
    lines = [line for line in stderr.strip().splitlines() if line.strip()]
    reason = next(
        (x for x in lines if "LLVM ERROR" in x or "Error" in x), lines[-1] if lines else ""
    )
    kernel = re.search(r"[Ff]unction:? '?@?([\w.]+)", stderr)
    where = f" (in {kernel[1]})" if kernel else ""
    return UnsupportedError(
        f"export: LLVM cannot make {what} for {target.triple}{where}: {reason.strip()}",
        hint="try fixed sizes, other dtypes, or another cpu and other features",
    )


def section_bytes(image: bytes) -> dict[str, int]:
    """Bytes of code, constants and zeroed memory of an object file."""
    found = {"code": 0, "constants": 0, "zeroed": 0}
    for section in binding.ObjectFileRef.from_data(image).sections():
        raw = section.name() or ""
        name = raw.decode() if isinstance(raw, bytes) else raw
        if section.is_text():
            found["code"] += section.size()
        elif "rodata" in name or "const" in name or "data.rel.ro" in name:
            found["constants"] += section.size()
        elif "bss" in name:
            found["zeroed"] += section.size()
    return found

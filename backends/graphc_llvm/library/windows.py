"""What a DLL has in place of a C runtime: copying, filling, and growing the stack."""

from __future__ import annotations

from pathlib import Path

# Touch every page between the stack pointer and the end of a new frame, from the top: Windows adds
# a page to a stack only when the one above it is in use. The size comes in rax, or in sixteenths
# in x15, and all registers but the flags (x16 and x17) are as before.
_PROBES = {
    # push rcx; push rax; lea rcx, [rsp + 24]
    # 1: cmp rax, 4096; jbe 2f; sub rcx, 4096; or byte [rcx], 0; sub rax, 4096; jmp 1b
    # 2: sub rcx, rax; or byte [rcx], 0; pop rax; pop rcx; ret
    "x86_64": "51 50 488d4c2418 483d00100000 7612 4881e900100000 800900 482d00100000 ebe6"
    " 4829c1 800900 58 59 c3",
    # sub x17, sp, x15, uxtx 4; mov x16, sp
    # 1: sub x16, x16, 4096; cmp x16, x17; b.ls 2f; ldr xzr, [x16]; b 1b
    # 2: ldr xzr, [x17]; ret
    "aarch64": "f1732fcb f0030091 100640d1 1f0211eb 69000054 1f0240f9 fcffff17 3f0240f9 c0035fd6",
}

# What LLVM calls them: in objects for Microsoft's tools, for MinGW on x86-64.
_PROBE_NAMES = ("__chkstk", "___chkstk_ms")


def support_text(triple: str) -> str | None:
    """The module that only the DLL gets; None where there are no DLLs."""
    architecture = {"arm64": "aarch64", "amd64": "x86_64"}.get(triple.split("-")[0])
    architecture = architecture or triple.split("-")[0]
    if "windows" not in triple or architecture not in _PROBES:
        return None
    raw = bytes.fromhex(_PROBES[architecture])
    code = "".join(f"\\{byte:02X}" for byte in raw)
    probes = [
        f'define void @{name}() naked nounwind prologue [{len(raw)} x i8] c"{code}"'
        "\n{\n  unreachable\n}"
        for name in _PROBE_NAMES
    ]
    memory = (Path(__file__).parent / "memory.ll").read_text(encoding="utf-8")
    return "\n\n".join([memory, "@_fltused = constant i32 1", *probes, ""])

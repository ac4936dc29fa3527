"""Limits on flash and RAM: an error with the largest items where they are passed."""

from __future__ import annotations

from graphc import origin as origins
from graphc.errors import MemoryBudgetError
from graphc.export.backend import BuiltLibrary, LibraryWorkspace
from graphc.export.interface import Interface

SHOWN_ITEMS = 8
OFFSETS_32 = 2**31  # bytes that signed offsets of 32 bits reach


def check_flash(built: BuiltLibrary, embedded: bool, flash: int | None) -> None:
    """Raise MemoryBudgetError where code and constants are more than they may be."""
    sections = built.sections
    needed = sections["code"] + sections["constants"]
    if flash is not None and needed > flash:
        items = [("code", sections["code"])]
        if embedded:
            items += [(f"parameter {p.name}", n) for p, n in built.stored.items()]
        _raise("flash", "code and constants", needed, flash, items)


def check_ram(
    interface: Interface, workspace: LibraryWorkspace, ram: int | None, is_small: bool
) -> None:
    """The same for the workspace, also where addresses have 32 bits."""
    w = workspace
    if is_small:
        ram = min(ram or OFFSETS_32, OFFSETS_32)
    if ram is None or w.total <= ram:
        return
    items = [(f"parameter {p.name}", p.memory.nbytes) for p in interface.parameters]
    items.append((f"scratch of {interface.threads} threads", w.scratch_bytes * interface.threads))
    for block in w.blocks:
        for storage, size in block.plan.sizes.items():
            items.append((f"{block.entry.name}: {storage.name} {storage.type}", size))
        items += [(f"{block.entry.name}: prepared {s.name} {s.type}", 0) for s in block.prepared]
    _raise("RAM", "the workspace (temporaries share the arena)", w.total, ram, items)


def _raise(word: str, what: str, needed: int, limit: int, items: list[tuple[str, int]]) -> None:
    largest = sorted(items, key=lambda item: -item[1])[:SHOWN_ITEMS]
    rows = "\n".join(f"    {size:>12,}  {name}" for name, size in largest if size)
    raise MemoryBudgetError(
        f"export: {what} need {needed:,} bytes of {word}, {needed - limit:,} more than the limit"
        f" of {limit:,}; the largest items:\n{rows}",
        origin=origins.find_origin(),
        hint="smaller maxima of dims, fewer threads, or smaller parameters",
    )

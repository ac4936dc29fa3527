"""LLVM in this process: compile text to object code, and link it."""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Protocol

from llvmlite import binding


class CodegenError(RuntimeError):
    """LLVM refused a module: our bug, or a symbol that the process does not have."""


class CodegenTarget(Protocol):
    """What LLVM wants to know about a machine."""

    @property
    def triple(self) -> str:
        """Architecture, system and object format."""

    @property
    def cpu(self) -> str:
        """LLVM's name of the processor."""

    @property
    def features(self) -> str:
        """LLVM's feature string, as in ``+avx2,-avx512f``."""


@dataclass(frozen=True)
class PlainTarget:
    """The plainest `CodegenTarget`."""

    triple: str
    cpu: str = ""
    features: str = ""

    @property
    def architecture(self) -> str:
        """The first part of the triple."""
        return self.triple.split("-")[0]


@cache
def initialize() -> None:
    """Initialise LLVM for the host, once."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    binding.initialize_native_asmparser()
    _fork_outside_llvm()


def _fork_outside_llvm() -> None:
    """Fork when no other thread is inside LLVM: its state would stay half changed in the child.

    llvmlite takes one lock around every call of LLVM, and waits for it for ever in a child where
    it was taken by a thread that is not there.
    """
    lock = getattr(binding.ffi.lib, "_lock", None)
    if lock is None or not hasattr(os, "register_at_fork"):
        return

    def leave() -> None:
        lock.__exit__(None, None, None)

    os.register_at_fork(before=lock.__enter__, after_in_parent=leave, after_in_child=leave)


@cache
def host() -> PlainTarget:
    """This process's machine."""
    initialize()
    features = binding.get_host_cpu_features().flatten()
    return PlainTarget(binding.get_process_triple(), binding.get_host_cpu_name(), features)


@cache
def _target_machine(triple: str, cpu: str, features: str) -> binding.TargetMachine:
    # Small and position independent: constants are read relative to the instruction pointer, and
    # the same object can be linked into a library. Foreign targets are initialised on demand.
    initialize()
    if triple.split("-")[0] != host().architecture:
        binding.initialize_all_targets()
        binding.initialize_all_asmprinters()
    target = binding.Target.from_triple(triple)
    return target.create_target_machine(
        cpu=cpu, features=features, opt=3, reloc="pic", codemodel="small"
    )


def compile_text(text: str, target: CodegenTarget, passes: Sequence[str] = ()) -> bytes:
    """Turn LLVM IR text into an object file.

    `passes` run first, in order: names such as ``sroa`` or ``instruction_combine``, or one of
    ``O1 O2 O3`` for LLVM's own pipeline. Raises CodegenError with the lines that LLVM refuses.
    """
    machine = _target_machine(target.triple, target.cpu, target.features)
    try:
        module = binding.parse_assembly(text)
        module.verify()
    except RuntimeError as error:
        raise CodegenError(_explain(text, str(error))) from None
    module.triple = target.triple
    module.data_layout = str(machine.target_data)
    if passes:
        _run_passes(module, machine, passes)
    result: bytes = machine.emit_object(module)
    return result


def emit_assembly(text: str, target: CodegenTarget, passes: Sequence[str] = ()) -> str:
    """Turn LLVM IR text into assembly text, to be read."""
    machine = _target_machine(target.triple, target.cpu, target.features)
    module = binding.parse_assembly(text)
    if passes:
        _run_passes(module, machine, passes)
    result: str = machine.emit_assembly(module)
    return result


def _run_passes(
    module: binding.ModuleRef, machine: binding.TargetMachine, passes: Sequence[str]
) -> None:
    for name in passes:
        level = int(name[1]) if re.fullmatch("O[123]", name) else 2
        options = binding.create_pipeline_tuning_options(speed_level=level)
        builder = binding.create_pass_builder(machine, options)
        if name[1:].isdigit():  # a whole pipeline
            manager = builder.getModulePassManager()
        else:
            manager = binding.create_new_module_pass_manager()
            getattr(manager, f"add_{name}_pass")()
        manager.run(module, builder)


def _explain(text: str, message: str, around: int = 2) -> str:
    """LLVM's complaint with the lines that it is about."""
    place = re.search(r":(\d+):\d+: error: (.*)", message)
    if place is None:
        return f"LLVM refuses the module: {message.strip()}"
    number, first = int(place.group(1)), place.group(2)
    lines = text.splitlines()
    shown = range(max(1, number - around), min(len(lines), number + around) + 1)
    excerpt = "\n".join(f"{'>' if n == number else ' '} {n:5d}  {lines[n - 1]}" for n in shown)
    return f"LLVM refuses the module: {first}\n{excerpt}"


class LoadedCode:
    """Loaded object code; it stays in memory as long as this object lives."""

    def __init__(self, tracker: binding.ResourceTracker, addresses: dict[str, int]) -> None:
        self._tracker = tracker
        self.addresses = addresses

    def __getitem__(self, symbol: str) -> int:
        return self.addresses[symbol]


class Session:
    """One in-process linker; `session()` is the one that everybody shares."""

    def __init__(self) -> None:
        machine = host()
        # The linker takes the target machine over, so it gets one of its own.
        target = binding.Target.from_triple(machine.triple)
        owned = target.create_target_machine(cpu=machine.cpu, features=machine.features, opt=3)
        self._jit = binding.create_lljit_compiler(owned)
        self._numbers = itertools.count()

    def load_object(
        self, image: bytes, symbols: Sequence[str], imports: Mapping[str, int] | None = None
    ) -> LoadedCode:
        """Load an object file and look up symbols that it defines.

        Symbols that it does not define are taken from `imports`, then from the process.
        Raises CodegenError for a symbol found nowhere.
        """
        builder = binding.JITLibraryBuilder().add_object_img(image).add_current_process()
        for name in symbols:
            builder.export_symbol(name)
        for name, address in (imports or {}).items():
            builder.import_symbol(name, address)
        # A name is never used twice: LLVM does not take one back.
        name = f"graphc{next(self._numbers)}"
        try:
            tracker = builder.link(self._jit, name)
        except RuntimeError as error:
            raise CodegenError(f"cannot load the object code: {str(error).strip()}") from None
        return LoadedCode(tracker, {symbol: tracker[symbol] for symbol in symbols})


@cache
def session() -> Session:
    """The process's session, made when first asked for."""
    return Session()

"""The protocol of backends that make libraries, beside `graphc.runtime.backend.Backend`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from graphc import origin as origins
from graphc.compiler.memory.plan import MemoryPlan
from graphc.errors import UnsupportedError
from graphc.export.interface import Entry, Interface
from graphc.export.selftest import Recording
from graphc.ir.schedule import Storage
from graphc.ir.storage import ParameterStorage
from graphc.ir.types import Array
from graphc.runtime.backend import load_backend


class LibraryTarget(Protocol):
    """What has to be known about the machine that a library is for."""

    @property
    def hosted(self) -> bool:
        """Whether there is an operating system, with threads."""

    @property
    def object_format(self) -> str:
        """ "elf", "macho", "coff" or "wasm"."""


class FunctionBlock(Protocol):
    """What one function has in a workspace."""

    @property
    def entry(self) -> Entry:
        """The function."""

    @property
    def plan(self) -> MemoryPlan:
        """Its temporaries, all dims at their maxima."""

    @property
    def prepared(self) -> Mapping[Storage, int]:
        """Where values are that depend on parameters alone."""

    @property
    def random(self) -> int | None:
        """Where its random state is."""


class LibraryWorkspace(Protocol):
    """Where everything is in a library's workspace: offsets, and bytes."""

    @property
    def blocks(self) -> Sequence[FunctionBlock]:
        """One for each function."""

    @property
    def parameters(self) -> Mapping[ParameterStorage, int]:
        """Those that are not frozen."""

    @property
    def state(self) -> int:
        """Where what is saved begins."""

    @property
    def state_bytes(self) -> int:
        """Bytes of what is saved."""

    @property
    def scratch_bytes(self) -> int:
        """Bytes of one thread's scratch."""

    @property
    def total(self) -> int:
        """Bytes of everything."""


class BuiltLibrary(Protocol):
    """Object code, and what is known about it."""

    @property
    def objects(self) -> Mapping[str, bytes]:
        """Object files by name, that of the library first."""

    @property
    def symbols(self) -> Sequence[str]:
        """What C may call."""

    @property
    def needs(self) -> Sequence[str]:
        """What the linker has to find elsewhere."""

    @property
    def target(self) -> LibraryTarget:
        """The machine that it is for."""

    @property
    def workspace(self) -> LibraryWorkspace:
        """Where everything is at run time."""

    @property
    def sections(self) -> Mapping[str, int]:
        """Bytes of "code", "constants" and "zeroed" memory."""

    @property
    def stored(self) -> Mapping[ParameterStorage, int]:
        """Bytes of the parameters whose values are among the constants."""

    @property
    def state_bytes(self) -> int:
        """Bytes of saved values."""

    @property
    def stack_bytes(self) -> int:
        """Bytes of stack that a call needs."""

    @property
    def facts(self) -> Mapping[str, object]:
        """What the manifest says of code and memory."""


@runtime_checkable
class LibraryBackend(Protocol):
    """A backend that makes libraries."""

    def export_target(self, name: str, features: str) -> LibraryTarget:
        """The target of a library: "host", a short name or a triple, with features."""
        ...

    def library(
        self,
        interface: Interface,
        target: LibraryTarget,
        embedded: bool,
        recording: Recording | None,
        max_ram: int | None,
    ) -> BuiltLibrary:
        """The code of all functions, for a target that `export_target` has given.

        With parameters in it where they are `embedded`, with a test of itself where there is a
        recording; raises MemoryBudgetError where the workspace needs more than `max_ram`.
        """
        ...

    def link_library(self, folder: Path, built: BuiltLibrary) -> tuple[list[str], str | None]:
        """Link the object files in a folder: the library and what is beside it, or why not."""
        ...


class BuiltDeviceLibrary(Protocol):
    """Everything of a library for a device but its manifest."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """What to write, by name."""

    @property
    def roles(self) -> Mapping[str, str]:
        """The files that a manifest lists, by what they are for."""

    @property
    def facts(self) -> Mapping[str, object]:
        """What the manifest says of code and memory; {"target": {"kind": ...}} at least."""

    @property
    def statuses(self) -> Sequence[str]:
        """What the statuses of its functions mean, 0 first."""


class DeviceEngine(Protocol):
    """A library on a device. Statuses are 0 where all went well."""

    def run(self, name: str, arrays: Sequence[Array], results: Sequence[Array]) -> int:
        """Call a function."""
        ...

    def get_parameter(self, name: str, value: Array) -> int:
        """Read a parameter."""
        ...

    def set_parameter(self, name: str, value: Array) -> int:
        """Write a parameter."""
        ...

    def get_random(self, name: str) -> tuple[int, int]:
        """Seed and step of a function's random stream."""
        ...

    def set_random(self, name: str, seed: int, step: int) -> int:
        """Set them."""
        ...

    def save(self) -> bytes:
        """Parameters and random streams."""
        ...

    def load(self, saved: bytes) -> int:
        """Put back what `save` gave."""
        ...

    def release(self) -> None:
        """Give the device's memory back."""
        ...


@runtime_checkable
class DeviceLibraryBackend(Protocol):
    """A backend that makes libraries for a device that has memory of its own, and runs them."""

    def device_library(self, interface: Interface) -> BuiltDeviceLibrary:
        """The code of all functions, whose dims all have one size, and a program of the host."""
        ...

    def open_device_library(self, folder: Path, manifest: Mapping[str, Any]) -> DeviceEngine:
        """The library that the manifest of a folder describes, on a device."""
        ...


def load_device_backend(name: str) -> DeviceLibraryBackend:
    """The backend of a name; raises UnsupportedError where it makes no libraries for devices."""
    found = load_backend(name)
    if not isinstance(found, DeviceLibraryBackend):
        raise UnsupportedError(
            f"export: the backend {name} makes no libraries for devices",
            origin=origins.find_origin(),
        )
    return found


def load_library_backend(name: str) -> LibraryBackend:
    """The backend of a name; raises UnsupportedError where it makes no libraries."""
    found = load_backend(name)
    if not isinstance(found, LibraryBackend):
        raise UnsupportedError(
            f"export: the backend {name} makes no libraries", origin=origins.find_origin()
        )
    return found

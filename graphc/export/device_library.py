"""Exported libraries of a device in Python: `Library` on the engine of its backend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from graphc.errors import ArgumentError, UnsupportedError
from graphc.export.backend import load_device_backend
from graphc.export.library import Array, Library
from graphc.export.library_files import check_files


class DeviceLibrary(Library):
    """An exported library on a GPU, with memory there of its own."""

    def selftest(self) -> None:
        """There is none."""
        raise UnsupportedError(f"{self.name}: libraries for GPUs have no self-test")

    def save(self) -> bytes:
        """Parameters and random streams, as `load` takes them."""
        return self._engine.save()

    def load(self, saved: bytes) -> None:
        """Put back what `save` returned."""
        if not isinstance(saved, (bytes, bytearray, memoryview)):
            raise ArgumentError(f"{self.name}: load takes the bytes of `save`, got {saved!r}")
        self.check(self._engine.load(bytes(saved)), "load")

    def release(self) -> None:
        """Give the memory on the GPU back: it will not be called again."""
        self._engine.release()

    def _run(self, facts: Mapping[str, Any], sizes: Sequence[int], arrays: Sequence[Array]) -> int:
        """Call a function on inputs and outputs; its status."""
        count = len(facts["inputs"])
        return self._engine.run(facts["name"], arrays[:count], arrays[count:])

    def _copy_parameter(self, word: str, name: str, value: Array) -> int:
        """Read ("get") a parameter into an array, or "set" it; the status."""
        engine = self._engine
        copy = engine.get_parameter if word == "get" else engine.set_parameter
        return copy(name, value)

    def _set_random(self, facts: Mapping[str, Any], seed: int, step: int) -> int:
        """Set the random stream of a function; the status."""
        return self._engine.set_random(facts["name"], seed, step)

    def _get_random(self, facts: Mapping[str, Any]) -> tuple[int, int]:
        """The random stream of a function."""
        return self._engine.get_random(facts["name"])

    def status_text(self, status: int) -> str:
        """What a status means."""
        texts: dict[str, str] = dict(self.manifest["statuses"])
        for function in self.manifest["functions"]:
            texts |= function["checks"]
        return texts.get(str(status), "unknown status")

    def _open(self) -> None:
        names = [self.manifest["files"]["weights"]]
        names += [name for f in self.manifest["launches"] for name in f["code"]]
        check_files(self.path, self.manifest, names)
        backend = load_device_backend(self.manifest["target"]["kind"])
        self._engine = backend.open_device_library(self.path.parent, self.manifest)

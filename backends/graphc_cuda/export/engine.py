"""An exported library on a GPU, by its manifest: for `gx.load_library`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from graphc.ir.types import Array
from graphc_cuda.ctypes_bindings import CtypesBindings
from graphc_cuda.device_api import Device, MachineCode, Memory
from graphc_cuda.driver import Driver
from graphc_cuda.export.statuses import STATUSES
from graphc_cuda.gpu import open_gpu
from graphc_cuda.launch import NO_FAILURE
from graphc_cuda.plan_data import plan_from_data

CODES = {word: i for i, word in enumerate(STATUSES)}


class GpuEngine:
    """The functions of a library on one device, in one block of its memory."""

    def __init__(
        self, folder: Path, manifest: Mapping[str, Any], device: Device | None = None
    ) -> None:
        self._facts = manifest["memory"]
        self._opened = None if device else open_gpu(0, Driver(CtypesBindings))
        self._gpu = device or self._opened
        assert self._gpu is not None
        self._block = self._gpu.allocate(self._facts["bytes"])
        self._streams: dict[str, Array] = {}
        self._functions = {
            facts["name"]: _Function(folder, facts, self._gpu, self._block)
            for facts in manifest["launches"]
        }
        self._header = bytes(16)
        self._weights((folder / manifest["files"]["weights"]).read_bytes())

    def run(self, name: str, arrays: Sequence[Array], results: Sequence[Array]) -> int:
        """Call a function; its status."""
        status = self._functions[name].run(arrays, results)
        if status == 0 and self._functions[name].facts["updates"]:
            self._spoil(name)
        return status

    def get_parameter(self, name: str, value: Array) -> int:
        """Read a parameter."""
        offset, nbytes, _ = self._facts["parameters"][name]
        if value.nbytes != nbytes:
            return CODES["BYTES"]
        self._block.download(value, offset)
        return 0

    def set_parameter(self, name: str, value: Array) -> int:
        """Write a parameter."""
        offset, nbytes, _ = self._facts["parameters"][name]
        if value.nbytes != nbytes:
            return CODES["BYTES"]
        self._block.upload(value, offset)
        self._spoil()
        return 0

    def get_random(self, name: str) -> tuple[int, int]:
        """Seed and step of a function's random stream."""
        seed, step = self._functions[name].stream
        return int(seed), int(step)

    def set_random(self, name: str, seed: int, step: int) -> int:
        """Set them."""
        self._functions[name].stream[:] = seed, step
        return 0

    def save(self) -> bytes:
        """Parameters and random streams."""
        saved = np.zeros(self._facts["state_bytes"], np.uint8)
        saved[: len(self._header)] = np.frombuffer(self._header, np.uint8)
        for function in self._functions.values():
            if function.facts["random"] is not None:
                at = function.facts["stream"]
                saved[at : at + 16] = function.stream.view(np.uint8)
        for offset, nbytes, stored in self._facts["parameters"].values():
            self._block.download(saved[stored : stored + nbytes], offset)
        return saved.tobytes()

    def load(self, saved: bytes) -> int:
        """Put back what `save` gave."""
        if len(saved) != self._facts["state_bytes"]:
            return CODES["BYTES"]
        if saved[: len(self._header)] != self._header:
            return CODES["STATE"]
        data = np.frombuffer(saved, np.uint8)
        for function in self._functions.values():
            if function.facts["random"] is not None:
                at = function.facts["stream"]
                function.stream[:] = data[at : at + 16].view(np.uint64)
        for offset, nbytes, stored in self._facts["parameters"].values():
            self._block.upload(data[stored : stored + nbytes], offset)
        self._spoil()
        return 0

    def release(self) -> None:
        """Give the GPU's memory back."""
        for function in self._functions.values():
            function.release()
        self._block.release()
        if self._opened is not None:
            self._opened.release()

    def _weights(self, data: bytes) -> None:
        """Parameters, random streams and constants as they were exported."""
        self._header = data[:16]
        self.load(data[: self._facts["state_bytes"]])
        whole = np.frombuffer(data, np.uint8)
        for offset, nbytes, stored in self._facts["constants"]:
            self._block.upload(whole[stored : stored + nbytes], offset)

    def _spoil(self, besides: str = "") -> None:
        """What others have prepared is out of date."""
        for name, function in self._functions.items():
            function.stale = function.stale or name != besides


class _Function:
    """The launches of one function, and its values in the block."""

    def __init__(self, folder: Path, facts: Mapping[str, Any], gpu: Device, block: Memory) -> None:
        self.facts = facts
        self.stream = np.zeros(2, np.uint64)
        self.stale = True
        plan = plan_from_data(facts["plan"])
        memories = {
            region: block.window(offset, plan.regions[region])
            for region, offset in zip(plan.regions, facts["regions"])
        }
        image = _image(folder, facts["code"], gpu.facts.capability)
        code = MachineCode(image, facts["symbols"], facts["shared"])
        self._block = block
        self._code = gpu.load(plan.program, [code])
        self._executable = self._code.instantiate(plan, memories)

    def run(self, arrays: Sequence[Array], results: Sequence[Array]) -> int:
        """Copy in, launch, copy out; the status."""
        if self.stale:
            self._executable.prepare()
            self.stale = False
        for array, (offset, nbytes) in zip(arrays, self.facts["inputs"]):
            if nbytes:
                self._block.upload(array, offset)
        if self.facts["random"] is not None:
            self._block.upload(self.stream, self.facts["random"])
        self._executable.launch()
        failed = self._failed()
        if failed is not None:
            return failed
        for array, (offset, nbytes) in zip(results, self.facts["outputs"]):
            if nbytes:
                self._block.download(array, offset)
        self.stream[1] += np.uint64(1)
        return 0

    def _failed(self) -> int | None:
        """The code of a failed check."""
        if self.facts["status"] is None:
            return None
        found = np.zeros(1, np.uint32)
        self._block.download(found, self.facts["status"])
        value = int(found[0])
        return None if value == NO_FAILURE else int(self.facts["first_check"]) + value

    def release(self) -> None:
        """Give graphs and code back."""
        self._executable.release()
        self._code.release()


def _image(folder: Path, names: Sequence[str], capability: tuple[int, int]) -> bytes:
    """The machine code for a GPU, else PTX."""
    wanted = f".sm_{capability[0]}0.cubin"
    found = [n for n in names if n.endswith(wanted)] or [n for n in names if n.endswith(".ptx")]
    return (folder / found[0]).read_bytes()

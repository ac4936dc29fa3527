"""Data sets that stay on a device from one call to the next."""

from __future__ import annotations

from collections.abc import Mapping

from graphc.ir.types import Array
from graphc.runtime.backend import HeldData
from graphc_cuda.device_api import Memory
from graphc_cuda.epoch import EpochData, data_bytes
from graphc_cuda.launch import Region
from graphc_cuda.open_device import OpenDevice

_SHARE = 0.8  # of the free memory that a data set and its outputs may take


class HeldEpochData:
    """A data set that is kept until it is released, or its memory is wanted for something else.

    It is that of one variant, whose `inputs` it fills.
    """

    def __init__(
        self, device: OpenDevice, inputs: Mapping[Region, Memory], data: EpochData
    ) -> None:
        self._device, self._inputs = device, inputs
        self.nbytes = data.nbytes
        self.data: EpochData | None = data
        device.spare.append(self)

    def of(self, inputs: Mapping[Region, Memory]) -> EpochData | None:
        """The data set where it is that of these inputs, and still there."""
        same = all(self._inputs.get(r) is memory for r, memory in inputs.items())
        return self.data if same else None

    def release(self) -> None:
        """Give the memory back."""
        with self._device.lock:
            if self.data is not None:
                self._device.spare.remove(self)
                self.data.release()
                self.data = None


def find_data(
    device: OpenDevice,
    route: str,
    inputs: Mapping[Region, Memory],
    rows: Mapping[Region, Array],
    shape: tuple[int, int, int],
    held: HeldData | None,
) -> EpochData | None:
    """The data set on the device; None where it has no room beside the outputs.

    `shape` is the number of rows of all steps, that of one step, and the bytes of all outputs.
    Without `held` it is the caller's to release.
    """
    count, batch, output_bytes = shape
    kept = held.kept if held is not None else None
    if isinstance(kept, HeldEpochData):
        found = kept.of(inputs)
        if found is not None:
            return found if output_bytes <= device.device.free_bytes() * _SHARE else None
    most = count if held is None else max(count, *(len(a) for a in rows.values()))
    if not _makes_room(device, data_bytes(rows, most) + output_bytes):
        return None
    if held is not None:
        held.release()  # another variant's
    data = EpochData(device.device, route, inputs, rows, most, batch)
    if held is not None:
        held.kept = HeldEpochData(device, inputs, data)
    return data


def _makes_room(device: OpenDevice, wanted: int) -> bool:
    """Whether there is room, if need be that of other data sets, which are sent again then."""
    free = device.device.free_bytes()
    held = sum(x.nbytes for x in device.spare if isinstance(x, HeldEpochData))
    if wanted <= free * _SHARE:
        return True
    if wanted > (free + held) * _SHARE:
        return False
    device.release_spare()
    return wanted <= device.device.free_bytes() * _SHARE

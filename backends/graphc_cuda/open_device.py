"""A device as functions share it: its lock, the memory that steps use in turn, and its process."""

from __future__ import annotations

import os
from collections.abc import Mapping

from graphc.errors import BackendError, MemoryBudgetError
from graphc.forked import ProcessLock
from graphc.runtime.backend import Releasable
from graphc_cuda.device_api import Device, Memory
from graphc_cuda.launch import ARENA, WORK, Region

SHARED = (ARENA, WORK)  # regions that hold nothing between two steps


class OpenDevice:
    """A device with what its functions share; whoever uses it holds `lock`.

    `name` is the target that it was opened for.
    """

    def __init__(self, device: Device, name: str) -> None:
        self.device, self.name = device, name
        self.lock = ProcessLock()
        self._process = os.getpid()
        self._shared: dict[Region, Memory] = {}
        self.spare: list[Releasable] = []  # what is given back when memory is short

    def check_process(self) -> None:
        """Raise in a forked child: what is on a GPU belongs to the process that put it there."""
        if self._process != os.getpid() and self.name.startswith("cuda:"):
            raise BackendError(
                f"{self.name}: this process was forked from the one that uses the GPU",
                hint='multiprocessing.get_context("spawn") starts processes that can use it',
            )

    def allocate(self, nbytes: int) -> Memory:
        """New memory, if need be that of data sets, which are sent again then."""
        try:
            return self.device.allocate(nbytes)
        except MemoryBudgetError:
            if not self.spare:
                raise
        self.release_spare()
        return self.device.allocate(nbytes)

    def release_spare(self) -> None:
        """Give back all that can be sent again."""
        while self.spare:
            self.spare[0].release()

    def shared(self, sizes: Mapping[Region, int]) -> dict[Region, Memory]:
        """The memory that steps use in turn, at least so many bytes for each region.

        Where it has to grow, steps that used it find the new one when they ask again.
        """
        for region in (r for r in sizes if r.role in SHARED):
            old = self._shared.get(region)
            if old is not None and old.nbytes >= sizes[region]:
                continue
            if old is not None:
                del self._shared[region]
                old.release()
            self._shared[region] = self.allocate(sizes[region])
        return {r: self._shared[r] for r in sizes if r.role in SHARED}

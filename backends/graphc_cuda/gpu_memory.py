"""Memory of a GPU, and windows of it."""

from __future__ import annotations

from contextlib import suppress

import numpy as np

from graphc.ir.types import Array
from graphc_cuda.device_api import Memory
from graphc_cuda.driver import DriverCallError
from graphc_cuda.driver_launch import Handle
from graphc_cuda.gpu_queue import GpuQueue


class GpuMemory:
    """Bytes of a GPU, or a window of such."""

    def __init__(
        self,
        queue: GpuQueue,
        address: int,
        nbytes: int,
        *,
        owner: object = None,
        whole: GpuMemory | None = None,
    ) -> None:
        self._queue, self._nbytes = queue, nbytes
        self.address = address
        self._owner = owner  # of memory that is not ours
        self._whole = whole or self
        self._users: list[Handle] = []  # when they have happened nothing uses it
        self._moved: Handle | None = None  # the last copy on the device
        self._released = False

    @property
    def nbytes(self) -> int:
        """How many there are."""
        return self._nbytes

    def use_until(self, event: Handle) -> None:
        """Uploads have to wait for the event, each time that it is recorded."""
        if event not in self._whole._users:
            self._whole._users.append(event)

    def forget(self, event: Handle) -> None:
        """Uploads need not wait for the event any more."""
        if event in self._whole._users:
            self._whole._users.remove(event)

    def upload(self, array: Array, offset: int = 0) -> None:
        """Write the bytes of an array."""
        self._check(array.nbytes, offset)
        self._queue.upload(self.address + offset, _dense(array), self._whole._users)

    def download(self, array: Array, offset: int = 0) -> None:
        """Read bytes into an array."""
        self._check(array.nbytes, offset)
        assert array.flags.c_contiguous, "bytes are not in one piece"
        self._queue.download(array, self.address + offset)

    def copy(self, source: Memory, offset: int = 0) -> None:
        """Write all bytes of other memory."""
        assert isinstance(source, GpuMemory)
        self._check(source.nbytes, offset)
        source._check(source.nbytes, 0)
        done = (self._whole._move(), source._whole._move())
        self._queue.copy(self.address + offset, source.address, source.nbytes, done)

    def window(self, offset: int, nbytes: int) -> GpuMemory:
        """A part of it."""
        self._check(nbytes, offset)
        return GpuMemory(self._queue, self.address + offset, nbytes, whole=self._whole)

    def release(self) -> None:
        """Give it back when the device is idle."""
        if self._released or self._whole is not self:
            return
        self._released = True
        self._queue.drain()
        with suppress(DriverCallError):  # after a fault everything is lost anyway
            if self._moved is not None:
                self._queue.driver.destroy_event(self._moved)
            if self._owner is None:
                self._queue.driver.free(self.address)
        self._owner = None

    def _move(self) -> Handle:
        """The event that copies on the device record."""
        if self._moved is None:
            self._queue.use()
            self._moved = self._queue.driver.event()
            self.use_until(self._moved)
        return self._moved

    def _check(self, nbytes: int, offset: int) -> None:
        assert not self._whole._released, "memory is used after it was given back"
        assert 0 <= offset <= offset + nbytes <= self._nbytes, (offset, nbytes, self._nbytes)


def _dense(array: Array) -> Array:
    # ascontiguousarray would make one element of no axes an array
    return array if array.flags.c_contiguous else np.array(array, order="C")

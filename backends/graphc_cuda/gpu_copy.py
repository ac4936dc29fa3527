"""Copies between host and device through pinned memory, on a stream of their own."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Iterator
from dataclasses import dataclass

from graphc.ir.types import Array
from graphc_cuda.driver import Driver
from graphc_cuda.driver_launch import Handle

CHUNK_BYTES = 16 << 20  # of one pinned buffer: long arrays go through several
MAX_BUFFERS = 8
_SPIN_SECONDS, _SLEEP_SECONDS = 100e-6, 20e-6


def poll(driver: Driver, event: Handle) -> None:
    """Wait for an event so that Ctrl-C gets through."""
    start = time.perf_counter()
    while not driver.has_happened(event):
        if time.perf_counter() - start > _SPIN_SECONDS:
            time.sleep(_SLEEP_SECONDS)


@dataclass(eq=False)
class PinnedBuffer:
    """Pinned memory; free once `done` has happened and what it holds is not waited for."""

    address: int
    nbytes: int
    done: Handle
    holds: bool = False


class PinnedBuffers:
    """A few buffers, used in turn."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._buffers: list[PinnedBuffer] = []

    def take(self, nbytes: int) -> PinnedBuffer:
        """A buffer of at least so many bytes that nobody uses."""
        for buffer in self._buffers:
            free = buffer.nbytes >= nbytes and not buffer.holds
            if free and self._driver.has_happened(buffer.done):
                self._move_back(buffer)
                return buffer
        if len(self._buffers) >= MAX_BUFFERS:
            self._drop(next(b for b in self._buffers if not b.holds))
        size = 1 << max(nbytes - 1, 4095).bit_length()
        made = PinnedBuffer(self._driver.pin(size), size, self._driver.event())
        self._buffers.append(made)
        return made

    def release(self) -> None:
        """Give all of them back, when they are no longer used."""
        while self._buffers:
            self._drop(self._buffers[0])

    def _move_back(self, buffer: PinnedBuffer) -> None:
        """So that the first is always the one that was used longest ago."""
        self._buffers.remove(buffer)
        self._buffers.append(buffer)

    def _drop(self, buffer: PinnedBuffer) -> None:
        poll(self._driver, buffer.done)
        self._buffers.remove(buffer)
        self._driver.unpin(buffer.address)
        self._driver.destroy_event(buffer.done)


class Copies:
    """Uploads and downloads of one device."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._buffers = PinnedBuffers(driver)

    def upload(self, to: int, array: Array, stream: Handle) -> None:
        """Queue the copy of an array, which may change when this returns."""
        for start, nbytes in _chunks(array.nbytes):
            buffer = self._buffers.take(nbytes)
            ctypes.memmove(buffer.address, array.ctypes.data + start, nbytes)
            self._driver.copy_in(to + start, buffer.address, nbytes, stream)
            self._driver.record(buffer.done, stream)

    def download(self, array: Array, address: int, stream: Handle) -> None:
        """Fill an array; the copy of one part runs while the one before is taken."""
        waiting: list[tuple[PinnedBuffer, int, int]] = []
        try:
            for start, nbytes in _chunks(array.nbytes):
                buffer = self._buffers.take(nbytes)
                self._driver.copy_out(buffer.address, address + start, nbytes, stream)
                self._driver.record(buffer.done, stream)
                buffer.holds = True
                waiting.append((buffer, start, nbytes))
                if len(waiting) > 1:
                    self._collect(array, *waiting.pop(0))
            while waiting:
                self._collect(array, *waiting.pop(0))
        finally:  # an interrupt leaves parts that nobody waits for
            for buffer, _, _ in waiting:
                buffer.holds = False

    def release(self) -> None:
        """Give the pinned memory back."""
        self._buffers.release()

    def _collect(self, array: Array, buffer: PinnedBuffer, start: int, nbytes: int) -> None:
        buffer.holds = False  # also where the wait is interrupted
        poll(self._driver, buffer.done)
        ctypes.memmove(array.ctypes.data + start, buffer.address, nbytes)


def _chunks(nbytes: int) -> Iterator[tuple[int, int]]:
    """Start and bytes of every part."""
    for start in range(0, nbytes, CHUNK_BYTES):
        yield start, min(CHUNK_BYTES, nbytes - start)

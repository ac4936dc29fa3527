"""The order of work on a GPU: a stream for launches and downloads, another one for uploads.

An upload waits only for what uses its memory, so the next batch can travel while a step runs. Waits
poll, so that Ctrl-C gets through.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress

from graphc.ir.types import Array
from graphc_cuda.driver import Driver, DriverCallError
from graphc_cuda.driver_launch import Handle
from graphc_cuda.gpu_copy import Copies, poll
from graphc_cuda.library.cublaslt import CublasLt


class GpuQueue:
    """The context that this process has on a GPU, and its two streams."""

    def __init__(self, driver: Driver, index: int) -> None:
        self.driver = driver
        self._device = driver.device(index)
        self.context = driver.retain(self._device)
        self.use()
        self.stream, self._copy_stream = driver.stream(), driver.stream()
        self._done, self._copied = driver.event(), driver.event()
        self._copies = Copies(driver)
        self._library: CublasLt | None = None
        self._uploads = False  # whether there are some that launches have to wait for

    def library(self, make: Callable[[], CublasLt]) -> CublasLt:
        """The library in this context, made at its first use."""
        if self._library is None:
            self.use()
            self._library = make()
        return self._library

    def use(self) -> None:
        """Whichever thread calls: it works on this device."""
        self.driver.use(self.context)

    def follow_uploads(self) -> None:
        """Let what follows on the stream see all uploads."""
        self.use()
        if self._uploads:
            self.driver.record(self._copied, self._copy_stream)
            self.driver.wait(self.stream, self._copied)
            self._uploads = False

    def follow_foreign(self, stream: int) -> None:
        """Let what follows on the stream see what another library has asked for on its own."""
        self.driver.record(self._done, self.driver.foreign_stream(stream))
        self.driver.wait(self.stream, self._done)

    def upload(self, address: int, array: Array, after: Iterable[Handle]) -> None:
        """Copy to the device as soon as events have happened."""
        self.use()
        for event in after:
            self.driver.wait(self._copy_stream, event)
        self._copies.upload(address, array, self._copy_stream)
        self._uploads = True

    def download(self, array: Array, address: int) -> None:
        """Copy from the device after everything before, and wait for it."""
        self.follow_uploads()
        self._copies.download(array, address, self.stream)

    def copy(self, to: int, address: int, nbytes: int, done: Iterable[Handle]) -> None:
        """Copy on the device; the events say when it is done."""
        self.follow_uploads()
        self.driver.copy_within(to, address, nbytes, self.stream)
        for event in done:
            self.driver.record(event, self.stream)

    def synchronize(self) -> None:
        """Wait for everything; can be interrupted."""
        self.use()
        for stream in (self._copy_stream, self.stream):
            self.driver.record(self._done, stream)
            poll(self.driver, self._done)

    def drain(self) -> None:
        """Wait for everything before something is given back; cannot be interrupted."""
        self.use()
        for stream in (self._copy_stream, self.stream):
            with suppress(DriverCallError):  # whoever waited for a result has been told
                self.driver.finish(stream)

    def release(self) -> None:
        """Give the streams and the context back."""
        self.drain()
        self._copies.release()
        if self._library is not None:
            self._library.release()
        for event in (self._done, self._copied):
            self.driver.destroy_event(event)
        for stream in (self._copy_stream, self.stream):
            self.driver.destroy_stream(stream)
        self.driver.drop(self._device)

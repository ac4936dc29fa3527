"""Parameters on devices: one copy for each device, brought up to date when it is needed.

The version of a parameter counts its changes, whoever makes them. A copy that was written or
uploaded at the present version is the newest one; after a step on a device the host's bytes are
old until somebody asks for them (`ParameterStorage.memory`).
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

from graphc.forked import ProcessLock
from graphc.ir.storage import ParameterStorage
from graphc_cuda.device_api import Memory
from graphc_cuda.open_device import OpenDevice


class StepGuard:
    """The lock of parameters that steps on devices write."""

    def __init__(self) -> None:
        self.number = next(_numbers())
        self._lock = ProcessLock()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Hold it for the block."""
        with self._lock:
            yield


@cache
def _numbers() -> Iterator[int]:
    return itertools.count(-1 << 62)  # native code cannot take it


@dataclass(eq=False)
class Copy:
    """The bytes on one device, and the version that they are."""

    memory: Memory
    version: int


class ResidentParameter:
    """The copies of a parameter; `of` finds the one object that all functions share."""

    def __init__(self, storage: ParameterStorage) -> None:
        self.name = storage.name
        self.host, self.version = storage.memory, storage.version
        self.written = False
        self._copies: dict[OpenDevice, Copy] = {}
        self._newest: OpenDevice | None = None  # the host's bytes are older than those there
        self._release = weakref.finalize(self, _release, self._copies)
        self._release.atexit = False

    @staticmethod
    def of(storage: ParameterStorage) -> ResidentParameter:
        """The copies of a parameter, made when first asked for."""
        if storage.remote is None:
            storage.remote = ResidentParameter(storage)
        assert isinstance(storage.remote, ResidentParameter)
        return storage.remote

    def fetch(self) -> None:
        """Bring the newest bytes to the host, if they are elsewhere."""
        if self._newest is not None:
            self.bring_from(self._newest)

    def bring_from(self, device: OpenDevice) -> None:
        """Download what a device has, where the host's bytes are older."""
        device.check_process()
        with device.lock:
            if self._newest is device:
                self._copies[device].memory.download(self.host)
                self._newest = None

    def leave_others(self, device: OpenDevice) -> None:
        """See to it that the newest bytes are the host's or the device's, before it is locked."""
        if self._newest is not device:
            self.fetch()

    def memory(self, device: OpenDevice) -> Memory:
        """Where it is on a device, whatever is there."""
        if device not in self._copies:
            memory = device.allocate(max(1, self.host.nbytes))
            self._copies[device] = Copy(memory, -1)
        return self._copies[device].memory

    def update(self, device: OpenDevice) -> int:
        """Upload it where the copy is old; the present version."""
        copy, version = self._copies[device], int(self.version[0])
        if copy.version != version:
            assert self._newest is not device
            copy.memory.upload(self.host)
            copy.version = version
        return version

    def wrote(self, device: OpenDevice) -> None:
        """Count a change that was made on a device."""
        self.version[0] += 1
        self._copies[device].version = int(self.version[0])
        self._newest = device


def _release(copies: dict[OpenDevice, Copy]) -> None:
    while copies:
        copies.popitem()[1].memory.release()

"""What programs do with a GPU; run by `test_driver` against the recording driver.

Each has a process of its own, because a process has one driver. They fail by assertion.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc.errors import BackendError, GraphcError, MemoryBudgetError
from graphc.export.device_library import DeviceLibrary
from graphc_cuda import gpu_copy
from graphc_cuda.ctypes_bindings import CtypesBindings
from graphc_cuda.cuda_runner import CudaRunner
from graphc_cuda.device_api import Device, Executable, MachineCode, Memory
from graphc_cuda.driver import Driver
from graphc_cuda.gpu import Gpu, open_gpu
from graphc_cuda.gpu_memory import GpuMemory
from graphc_cuda.gpu_queue import GpuQueue
from graphc_cuda.launch import CONSTANT, INPUT, DynamicLoop, FillNode, LaunchPlan, Region
from graphc_cuda.targets import open_target
from tests.backends.cuda import plans
from tests.backends.cuda.networks import NETWORKS, plan_for
from tests.backends.cuda.plans import OUT, T, W, X, Y, launch, plan_of, word

Value = Sequence[int] | int


def driver() -> Driver:
    """The driver by the bindings that the test wants."""
    return Driver(CtypesBindings if os.environ.get("FAKE_CUDA_BINDINGS") == "ctypes" else None)


def opened(index: int = 0) -> Gpu:
    """A GPU."""
    return open_gpu(index, driver())


def ptx(plan: LaunchPlan) -> MachineCode:
    """As much PTX as the recording driver reads."""
    lines = [".version 7.8", ".target sm_80", ".address_size 64"]
    for kernel in plan.program.kernels:
        names = ", ".join(f".param .u64 {kernel.name}_{i}" for i in range(len(kernel.arrays)))
        lines.append(f".visible .entry {kernel.name}({names})\n{{ ret; }}")
    symbols = {kernel.name: kernel.name for kernel in plan.program.kernels}
    return MachineCode("\n".join(lines).encode(), symbols)


class Session:
    """A plan on a GPU with memory of its own."""

    def __init__(self, plan: LaunchPlan) -> None:
        self.gpu = opened(0)
        device: Device = self.gpu
        self.memory: dict[Region, Memory] = {
            region: device.allocate(size) for region, size in plan.regions.items()
        }
        self.code = device.load(plan.program, [ptx(plan)])
        self.step: Executable = self.code.instantiate(plan, self.memory)

    def put(self, region: Region, value: Value) -> None:
        """Upload int64 values."""
        self.memory[region].upload(np.atleast_1d(np.asarray(value, np.int64)))

    def get(self, region: Region, offset: int = 0) -> int:
        """Download an int64."""
        found = np.zeros(1, np.int64)
        self.memory[region].download(found, offset)
        return int(found[0])

    def close(self) -> None:
        """Give everything back."""
        self.step.release()
        self.code.release()
        for memory in self.memory.values():
            memory.release()
        self.gpu.release()


def steps() -> None:
    """Steps in a row, with inputs that change while the one before runs."""
    session = Session(plans.training())
    session.put(W, 100)
    total = 100
    for i in range(5):
        session.put(X, 10 + i)
        session.put(Y, i)
        session.step.launch()
        total += i
    assert session.get(OUT) == 14
    assert session.get(W) == total
    session.close()


def parts() -> None:
    """Arrays in several chunks, through fewer buffers than chunks."""
    gpu_copy.CHUNK_BYTES = 4096
    gpu = opened(0)
    memory = gpu.allocate(100_000)
    data = np.random.default_rng(0).integers(0, 255, 100_000).astype(np.uint8)
    memory.upload(data)
    found = np.empty_like(data)
    memory.download(found)
    assert (found == data).all()
    part = np.zeros(5000, np.uint8)
    memory.window(90_000, 5000).download(part)
    assert (part == data[90_000:95_000]).all()
    every_other = data[::2]
    memory.upload(every_other, 50_000)
    memory.download(found)
    assert (found[50_000:] == every_other).all()
    memory.release()
    gpu.release()


def rebinding() -> None:
    """The rows of a data set in place, one after the other."""
    session = Session(plans.training())
    rows = session.gpu.allocate(5 * 8)
    rows.upload(np.arange(5) * 10)
    session.put(W, 0)
    session.put(Y, 1)
    for i in range(5):
        session.step.rebind({X: rows.window(8 * i, 8)})
        session.step.launch()
    assert (session.get(OUT), session.get(W)) == (40, 5)
    other = session.gpu.allocate(64)
    session.step.rebind({T: other})  # a fill moves too
    session.step.launch()
    assert session.get(W) == 6
    rows.upload(np.full(5, 7))  # waits for the launch that reads them
    session.step.launch()
    assert session.get(OUT) == 7
    session.memory |= {Region(CONSTANT, 8): rows, Region(CONSTANT, 9): other}
    session.close()


def loops() -> None:
    """As many iterations as the device says."""
    add = [launch(plans.accumulate(f"s{i}"), word(X), word(T, 0)) for i in range(4)]
    ends = [(launch(plans.accumulate(f"e{i}"), word(Y), word(T, 1)),) * i for i in range(5)]
    loop = DynamicLoop(
        (launch(plans.accumulate("b"), word(Y), word(T, 2)),),
        tuple((a,) for a in add), tuple(ends),
        count=word(Region(INPUT, 2)),
        conditions=tuple(word(Region(INPUT, 3), i, size=1) for i in range(4)),
    )  # fmt: skip
    last = launch(plans.accumulate("last"), word(T, 0), word(OUT))
    fill = FillNode(word(T, 0, size=24), 0)
    out = FillNode(word(OUT), 0)
    regions = plans.REGIONS | {Region(INPUT, 2): 8, Region(INPUT, 3): 32}
    plan = plan_of(fill, out, loop, last, edges=((0, 2), (1, 3), (2, 3)), regions=regions)
    session = Session(plan)
    session.put(X, 3)
    session.put(Y, 1)
    for count, flags, done in (
        (4, [1, 1, 1, 1], 4), (2, [1, 1, 1, 1], 2), (9, [1, 1, 1, 0], 3), (4, [0, 1, 1, 1], 0),
        (-1, [1, 1, 1, 1], 0),
    ):  # fmt: skip
        session.put(Region(INPUT, 2), count)
        session.put(Region(INPUT, 3), flags)
        session.step.launch()
        found = [session.get(T, 8 * i) for i in range(3)]
        assert found == [3 * done, done, 1], (count, flags, found)
        assert session.get(OUT) == 3 * done
    assert len(session.step.profile()) == 4
    session.close()


def copies() -> None:
    """Copies on the device, between uploads on either side."""
    session = Session(plans.training())
    session.put(X, 5)
    session.memory[Y].copy(session.memory[X])
    session.put(X, 6)  # after the copy has read it
    assert (session.get(Y), session.get(X)) == (5, 6)
    session.memory[T].copy(session.memory[X], offset=16)
    assert session.get(T, 16) == 6
    session.close()


def preparing() -> None:
    """What depends on parameters alone is run apart."""
    prepare = (
        FillNode(word(T, 0), 0),
        launch(plans.accumulate("p"), word(W), word(T, 0)),
        launch(plans.accumulate("q"), word(W), word(T, 0)),
    )
    step = launch(plans.move("t"), word(T, 0), word(OUT))
    session = Session(plan_of(step, prepare=prepare))
    session.put(W, 4)
    session.step.prepare()
    session.put(W, 5)
    session.step.launch()
    assert session.get(OUT) == 8
    session.close()


class Foreign:
    """An array of another library."""

    def __init__(self, memory: Any, **changes: object) -> None:
        self.__cuda_array_interface__ = {
            "shape": (memory.nbytes // 8,), "typestr": "<i8", "data": (memory.address, False),
            "version": 3, "strides": None,
        } | changes  # fmt: skip


def borrowing() -> None:
    """Arrays that lie on the device are taken in place."""
    session = Session(plans.training())
    theirs = session.gpu.allocate(8)
    theirs.upload(np.array([41]))
    session.gpu.synchronize()
    mine = session.gpu.borrow(Foreign(theirs, stream=1))
    assert mine is not None
    assert mine.nbytes == 8
    session.step.rebind({X: mine})
    session.put(W, 0)
    session.put(Y, 0)
    session.step.launch()
    assert session.get(OUT) == 41
    mine.release()  # which is not ours to give back
    assert session.gpu.borrow(Foreign(theirs, strides=(16,), shape=(4,))) is None
    assert session.gpu.borrow(Foreign(theirs, data=(64, False))) is None
    assert session.gpu.borrow(np.zeros(3)) is None
    theirs.release()
    session.close()


def lending() -> None:
    """A compiled step takes arrays that lie on the device in place, and goes back to its own."""
    x = gx.input("x", (4,), dtype="int64")
    step = gx.compile([x], x + 1, target="cuda")
    step(np.arange(4))
    device = open_target("cuda").device
    theirs = device.allocate(32)
    theirs.upload(np.arange(4))
    (variant,) = step.variants
    runner, region = variant.runner, Region(INPUT, 0)
    assert isinstance(runner, CudaRunner)
    mine = runner.memories[region]
    step(x=Foreign(theirs))
    assert isinstance(runner.memories[region], GpuMemory)
    assert runner.memories[region].address == theirs.address
    step(np.arange(4))
    assert runner.memories[region] is mine
    theirs.release()


def networks() -> None:
    """Whole steps: launches in an order that their edges allow, on bytes that exist."""
    for name in NETWORKS:
        plan = plan_for(name)
        session = Session(plan)
        for _ in range(2):
            session.step.prepare()
            session.step.launch()
        session.gpu.synchronize()
        assert len(session.step.profile()) == len(plan.nodes)
        session.close()


def shared_memory() -> None:
    """More than 48 KB of shared memory is asked for first, and at every launch."""
    plan = plan_of(launch(plans.move("x"), word(X), word(OUT)))
    gpu = opened(0)
    memory = {region: gpu.allocate(size) for region, size in plan.regions.items()}
    code = gpu.load(plan.program, [replace(ptx(plan), shared={"move_x": 100_000})])
    step = code.instantiate(plan, memory)
    step.launch()
    step.profile()
    assert gpu.facts.shared_bytes == 227 << 10
    step.release()
    code.release()
    for found in memory.values():
        found.release()
    gpu.release()


def interrupted() -> None:
    """Ctrl-C gets through a wait, and memory is given back when the device is idle."""
    session = Session(plans.training())
    for region in (X, Y, W):
        session.put(region, 1)
    session.step.launch()
    os.environ["FAKE_CUDA_NEVER"] = "1"
    for wait in (session.gpu.synchronize, lambda: session.get(OUT)):
        threading.Timer(0.1, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
        with pytest.raises(KeyboardInterrupt):
            wait()
    del os.environ["FAKE_CUDA_NEVER"]
    session.close()


def other_threads() -> None:
    """Whichever thread calls, the device is the same."""
    session = Session(plans.training())
    failures: list[BaseException] = []

    def work() -> None:
        try:
            session.put(X, 3)
            assert session.get(X) == 3
        except BaseException as error:  # an assertion must not die with the thread
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []
    session.close()


def expect(kind: type[GraphcError], words: Sequence[str], run: Callable[[], object]) -> None:
    """Run what must fail with these words."""
    with pytest.raises(kind) as caught:
        run()
    for text in words:
        assert text in str(caught.value), str(caught.value)


def with_option(name: str, value: object, run: Callable[[], object]) -> Callable[[], object]:
    """What runs while the driver has an option."""

    def changed() -> None:
        os.environ[f"FAKE_CUDA_{name}"] = str(value)
        try:
            run()
        finally:
            del os.environ[f"FAKE_CUDA_{name}"]

    return changed


def errors() -> None:
    """Everything that can be wrong with a machine, with its numbers."""
    for name, value, words in (
        ("DEVICES", 0, ["there is a driver, but no GPU", "cuda-simulate"]),
        ("VERSION", 11080, ["the driver is for CUDA 11.8", "needs one for 12.0"]),
        ("CAPABILITY", 75, ["GPU 0 (Fake GPU 0)", "capability 7.5", "needs 8.0"]),
        ("FAIL", "cuInit:1:999", ["cuInit", "CUDA_ERROR_"]),
    ):
        expect(BackendError, words, with_option(name, value, opened))
    expect(BackendError, ["there is no GPU 3: there is only GPU 0"], lambda: opened(3))
    three = with_option("DEVICES", 3, lambda: opened(-1))
    expect(BackendError, ["there is no GPU -1: GPUs are 0 to 2"], three)
    gpu = opened(0)
    held = gpu.allocate(1 << 29)
    words = ["805,306,368 bytes were asked for", "536,870,912 of 1,073,741,824 bytes are free"]
    expect(MemoryBudgetError, words, lambda: gpu.allocate(3 << 28))
    held.release()
    plan = plans.training()
    bad = MachineCode(b".target sm_80", {})
    words = ["PTX JIT", "ptxas fatal: no .version", "driver for CUDA 13.0"]
    expect(BackendError, words, lambda: gpu.load(plan.program, [bad]))
    good = ptx(plan)
    renamed = replace(good, entries={"other": "other"})
    expect(BackendError, ["cuModuleGetFunction"], lambda: gpu.load(plan.program, [renamed]))
    gpu.release()


def what_the_fake_finds() -> None:
    """Mistakes, each of which must be recorded."""
    calls = driver()
    queue = GpuQueue(calls, 0)
    gone = calls.allocate(64)
    calls.free(gone)
    calls.fill(gone, 0, 64, queue.stream)
    small = calls.allocate(16)
    host = calls.pin(64)
    calls.copy_in(small, host, 64, queue.stream)
    calls.finish(queue.stream)
    calls.destroy_event(event := calls.event())
    with pytest.raises(BackendError):
        calls.record(event, queue.stream)
    with pytest.raises(BackendError):
        calls.free(gone)


def forgotten_waits() -> None:
    """Without the wait between the streams results are wrong, so its tests can fail."""

    def forget(self: GpuQueue) -> None:
        self.use()

    GpuQueue.follow_uploads = forget  # type: ignore[method-assign]
    session = Session(plan_of(launch(plans.move("x"), word(X), word(OUT))))
    session.put(X, 3)
    session.step.launch()
    assert session.get(OUT) != 3
    session.close()


def forgotten_users() -> None:
    """Without the wait for those who use the memory an upload comes too early."""
    GpuMemory.use_until = lambda memory, event: None  # type: ignore[method-assign]
    session = Session(plans.training())
    session.put(W, 0)
    for y in (1, 10):
        session.put(Y, y)
        session.step.launch()
    assert session.get(W) != 11
    session.close()


def exported() -> None:
    """An exported library, by ctypes alone."""
    library = gx.load_library(os.environ["FAKE_CUDA_LIBRARY"])
    assert isinstance(library, DeviceLibrary)
    x, t = np.zeros((8, 12), np.float32), np.zeros(8, np.int32)
    for _ in range(2):
        assert set(library(x, t)) == {"loss", "best"}
    saved = library.save()
    library.load(saved)
    assert library.save() == saved
    bias = np.arange(5, dtype=np.float32)
    library.parameters["net/dense_1/bias"] = bias
    assert (library.parameters["net/dense_1/bias"] == bias).all()
    library.release()
    assert "cuda.bindings.driver" not in sys.modules


def whole_function() -> None:
    """A compiled function with target "cuda": parameters stay there, epochs take rows there."""
    x, t = gx.input("x", ("batch", 16)), gx.input("t", ("batch",), dtype="int32")
    loss = gx.nn.softmax_cross_entropy(gx.nn.Dense(4)(x), t).mean()
    updates = gx.optim.Adam(1e-3).minimize(loss)
    step = gx.compile([x, t], {"loss": loss}, updates=updates, target="cuda", name="whole")
    rows, labels = np.ones((16, 16), np.float32), np.zeros(16, np.int32)
    step(rows[:8], labels[:8])
    step(rows[:8], labels[:8])
    step(rows[:5], labels[:5])  # other sizes, other launches
    value = next(iter(step.parameters.values())).value
    next(iter(step.parameters.values())).value = value + 1
    step(rows[:8], labels[:8])
    step.run_epoch([rows, labels], batch_size=8)
    assert step.profile(rows[:8], labels[:8]) is not None

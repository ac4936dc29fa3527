"""Code bound to memory for given sizes: the runner behind a call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphc.config import environment
from graphc.errors import UnsupportedError
from graphc.ir.types import Array
from graphc.runtime.backend import HeldData, Launch
from graphc_llvm.runtime.barrier import NO_FAILURE
from graphc_llvm.runtime.bound_code import BoundCode
from graphc_llvm.runtime.epoch import EpochPlan, run_epoch
from graphc_llvm.runtime.memory import aligned_bytes
from graphc_llvm.runtime.native import STALE, NativeFunction
from graphc_llvm.runtime.pool import THREAD_BODY

if TYPE_CHECKING:
    from graphc_llvm.compile import Compiler

LANGUAGES = ("llvm", "asm")


class Prepared:
    """Prepared values, and the parameter versions that they were computed from."""

    def __init__(self, sizes: Sequence[int]) -> None:
        self.arrays = [aligned_bytes(n) for n in sizes]
        self.versions: list[int] | None = None


class CpuRunner:
    """One bound variant; `check` looks at every call before it is made (GRAPHC_CHECK).

    `prepare` is the address of what computes prepared values, where there are some.
    """

    def __init__(
        self,
        compiler: Callable[[], Compiler],
        native: NativeFunction,
        dims: Mapping[str, int],
        variant: BoundCode,
        prepared: Prepared,
        prepare: int | None,
    ) -> None:
        self.compiler, self.native = compiler, native
        self.made_for: Mapping[str, int] | None = dict(dims)  # None: code for all sizes
        self.variant, self.prepared, self.prepare = variant, prepared, prepare
        self.check: Callable[[Sequence[Array], Array], None] | None = None
        if prepare is not None:
            self._prepare()

    def __call__(self, arrays: Sequence[Array], rng: Array) -> list[Array]:
        """The outputs in order; raises before anything persistent is written."""
        if self.check is not None:
            self.check(arrays, rng)
        outputs = self.variant.description.outputs
        results: list[Array] = [np.empty(o.shape, o.dtype.numpy) for o in outputs]
        kept = [np.require(a, requirements=["C", "A"]) for a in arrays]
        status = STALE
        while status == STALE:
            self.refresh()
            status = self.native.execute(self.variant, kept, results)
        if status != NO_FAILURE:
            raise self.native.failure(status)
        return results

    def epoch(
        self,
        arrays: Sequence[Array],
        batched: Sequence[bool],
        order: Array,
        held: HeldData | None = None,
    ) -> list[Array] | None:
        """Step after step over rows of the arrays; the outputs of all steps, stacked.

        None where every call is to be checked.
        """
        if environment().check:
            return None
        self.refresh()
        described = self.variant.description
        batch = next(i.shape[0] for i, taken in zip(described.inputs, batched) if taken)
        steps = len(order) // batch
        results = [np.empty((steps, *o.shape), o.dtype.numpy) for o in described.outputs]
        kept = [np.require(a, requirements=["C", "A"]) for a in arrays]
        plan = EpochPlan(
            order,
            batch,
            steps,
            tuple(a if taken else None for a, taken in zip(kept, batched)),
            tuple(None if taken else a for a, taken in zip(kept, batched)),
            tuple(results),
        )
        for _ in run_epoch(self.native, self.variant, plan, self.refresh):
            pass  # between two chunks Python looks for Ctrl-C
        return results

    @property
    def used(self) -> bool:
        """Whether a call has found it since this was set to False; native code says so itself."""
        return bool(self.variant.table.used)

    @used.setter
    def used(self, value: bool) -> None:
        self.variant.table.used = value

    def release(self) -> None:
        """Let no call find it any more."""
        self.native.unbind(self.variant)

    @property
    def threads(self) -> int:
        """How many threads run it."""
        return self.variant.description.threads

    @property
    def languages(self) -> tuple[str, ...]:
        """What `source` shows."""
        return LANGUAGES

    def source(self, language: str) -> str:
        """The generated code: "llvm" text, or the "asm" that it becomes."""
        if language not in LANGUAGES:
            raise UnsupportedError(f"source: code for CPUs is in llvm or asm, not in {language}")
        return self.compiler().source(language, self.made_for)

    def kernel_sources(self) -> Mapping[str, str]:
        """The LLVM text of every kernel, with the functions that only it calls."""
        return self.compiler().kernel_sources(self.made_for)

    def launches(self) -> Sequence[Launch]:
        """Kernels are functions here."""
        return ()

    @property
    def machine(self) -> None:
        """A typical one."""

    def profile(self, arrays: Sequence[Array], rng: Array) -> list[float] | None:
        """Median seconds of every kernel on one thread; parameters are put back afterwards.

        None for code for all sizes: what is timed is made for given ones.
        """
        if self.made_for is None:
            return None
        return self.compiler().profile(self.made_for, arrays, rng)

    def refresh(self) -> None:
        """Compute what depends on parameters alone again if one has changed."""
        if self.prepare is not None and self.variant.stale:
            self._prepare()

    def _prepare(self) -> None:
        """Compute what depends on parameters alone, unless another size has."""
        assert self.prepare is not None
        self.native.prepare_to_run(self.variant)
        with self.native.held():  # parameters of one moment
            versions = self.variant.versions  # a change from now on makes it stale again
            if self.prepared.versions != versions:
                THREAD_BODY(self.prepare)(self.variant.ctx.ctypes.data, 0, 1)
                self.prepared.versions = versions
            self.variant.mark_fresh(versions)

"""`compile` and what it returns."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from graphc import origin as origins
from graphc.compiler.options import Options, check_options, parse_bytes
from graphc.config import environment
from graphc.errors import RuntimeCheckError, ShapeError, UnsupportedError
from graphc.forked import ProcessLock
from graphc.frontend.arguments import checked
from graphc.frontend.parameter import Parameter
from graphc.frontend.seed import current_seed
from graphc.frontend.tensor import Tensor
from graphc.ir import precision as precisions
from graphc.ir.dims import Dim
from graphc.ir.graph import Graph
from graphc.ir.limits import check_outputs, reporting_memory
from graphc.ir.precision import Precision
from graphc.ir.types import Array
from graphc.runtime.backend import (
    ALWAYS_THERE,
    BackendFunction,
    GenericCode,
    HeldData,
    Runner,
    check_device,
    find_backend,
)
from graphc.runtime.binding import Binding
from graphc.runtime.definition import Definition, define
from graphc.runtime.epoch import run_epoch
from graphc.runtime.failed_check import explain_failure
from graphc.runtime.inspection import Inspection
from graphc.runtime.kept_data import KeptData
from graphc.runtime.locks import shared_locks
from graphc.runtime.specialize import check_dims, specialize
from graphc.runtime.variants import Variant, Variants

if TYPE_CHECKING:
    from graphc.compiler.program import Program


def compile(
    inputs: Any,
    outputs: Any,
    updates: object = None,
    mode: str | None = None,
    target: str = "cpu",
    threads: int | None = None,
    memory: int | str | None = None,
    precise: bool = False,
    cast: str = "same_kind",
    microbatches: int = 1,
    name: str = "step",
    precision: str | Precision | None = None,
    gpu_compiler: str = "nvptx",
    gpu_libraries: str = "off",
) -> CompiledFunction:
    """Compile a function of the inputs that returns the outputs and makes the updates.

    - `inputs`: tensors in the order of the arguments of a call.
    - `outputs`: a tensor, or a nested structure of them, which is what a call returns.
    - `updates`: the next values of parameters, a mapping such as `minimize` returns, or a list.
    - `mode`: "train" (the default where there are updates) or "inference", without dropout and
      with the running statistics of batch norms.
    - `target`: "cpu"; "cuda" for an NVIDIA GPU ("cuda:1" for the second one); "cuda-simulate" for
      the GPU's kernels run without one, every access checked ("cuda-simulate:threads": one thread
      after the other, for a debugger); "interpret" for numpy.
    - `threads`: how many threads a call may use; None for as many as pay.
    - `memory`: a limit on the arena of temporaries, in bytes or as a text such as "8MB".
    - `precise`: False; no formula in use is less precise than another.
    - `cast`: "same_kind" takes float64 arrays for shorter floats and int64 for int32 where the
      values fit, and integers for floats that hold them exactly, beside what is always exact
      (numpy's safe casts); "no" refuses all these. Python numbers and lists of them have no
      dtype: their kind must fit, and their values.
    - `microbatches`: 1; nothing else is there yet.
    - `name`: what reports, files and the exported library call it.
    - `gpu_compiler`: "nvptx", or "numba" to have numba-cuda compile the kernels for a GPU.
    - `gpu_libraries`: "off"; "auto" gives large products to cuBLASLt where it is installed, which
      changes their last bits; "require" raises where it is not.
    - `precision`: "bf16", "fp16" or "tf32" for mixed precision, "fp32", or what `gx.precision`
      returns; None for that of the block around it.
    """
    updated = not isinstance(updates, (Mapping, list, tuple, type(None))) or updates
    chosen = mode if mode is not None else ("train" if updated else "inference")
    options = Options(
        chosen,
        target,
        threads,
        parse_bytes(memory, "compile: memory"),
        bool(precise),
        cast,
        microbatches,
        precision=precisions.chosen(precision) or precisions.FULL,
        gpu_compiler=gpu_compiler,
        gpu_libraries=gpu_libraries,
    )
    check_options(options)
    check_device(options)
    definition = define(inputs, outputs, updates, chosen, name, options.precision)
    function = CompiledFunction(definition, options)
    if options.target not in ALWAYS_THERE:
        function._enter_natively()  # the first call may bring arrays that lie on the device
    return function


class SlotCallable:
    """Calling an instance calls what its slot `__call__` holds, with nothing in between.

    Python finds `__call__` in the class, sees a slot, and takes the instance's content: a
    function in Python around the native entry would cost as much as a small step.
    """

    __slots__ = ("__call__",)


class CompiledFunction(SlotCallable, Inspection):
    """A compiled graph: call it with arrays, look into it, or export it.

    `step(*arrays, **named)` takes the inputs in order or by name, makes the updates and returns
    what `outputs` was, with NumPy values in place of tensors. `graph` is the graph as defined,
    `parameters` its parameters by name, `rng` the random state (uint64: seed, step). Calls are
    serialised, also with other functions that update the same parameters.
    """

    def __init__(self, definition: Definition, options: Options) -> None:
        self.graph: Graph = definition.graph
        self.structure = definition.structure
        self.options = options
        self.rng: Array = np.array([current_seed(), 0], np.uint64)
        self.epochs = 0
        self.resumed: Any = None  # what a checkpoint says about the run that `fit` goes on with
        self.history: Any = None  # of the latest run of `fit`, also of one that raised
        self.binding = Binding(self.graph.name, self.graph.inputs, options.cast)
        # What a call goes through; a backend puts a faster entry here, which falls back on `call`.
        self.entry = self.call
        self._native: BackendFunction | None = None
        self._program: Program | None = None
        self._compiling = ProcessLock()
        self._kept = KeptData()
        self._definition = definition
        self._locks = shared_locks([p.handle for p, _ in self.graph.updates])
        self._variants = Variants(self.graph, self._build, self._build_generic)

    # -- facts ---------------------------------------------------------------------------

    @property
    def name(self) -> str:
        """What the user called it."""
        return self.graph.name

    @property
    def mode(self) -> str:
        """ "train" or "inference"."""
        return self.options.mode

    @property
    def target(self) -> str:
        """ "cpu", "cuda", "cuda-simulate" or "interpret", with the device where one was named."""
        return self.options.target

    @property
    def parameters(self) -> Mapping[str, Parameter]:
        """The parameters that it reads or updates, by name."""
        return self._definition.parameters

    @property
    def dims(self) -> Mapping[str, Dim]:
        """The dims of the inputs by name, with the tightest bounds that any input gives."""
        return self._definition.dims

    @property
    def optimizer(self) -> Any:
        """The optimiser behind the updates (a tuple of several); None if there is none."""
        return self._definition.optimizer

    @property
    def metrics(self) -> tuple[Any, ...]:
        """The metrics (`gx.metrics`) whose state it updates."""
        return self._definition.metrics

    @property
    def losses(self) -> tuple[tuple[Tensor, tuple[Parameter, ...]], ...]:
        """The losses that its optimisers minimise, each with the parameters that it is given."""
        return self._definition.losses

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What has been compiled, for which sizes, and why."""
        return self._variants.listed

    @property
    def times(self) -> Mapping[str, float]:
        """Seconds that the stages of compiling took here; nothing for code from the cache."""
        return {} if self._program is None else self._program.times

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise UnsupportedError(
            f"{self.name}: a compiled function cannot be copied or pickled",
            origin=origins.find_origin(),
            hint="step.export(directory) makes a library that gx.load_library loads anywhere",
        )

    def __repr__(self) -> str:
        inputs = ", ".join(f"{n.name} {n.type}" for n in self.graph.inputs)
        return f"<CompiledFunction {self.name}({inputs}) {self.mode} {self.target}>"

    # -- calls -----------------------------------------------------------------------------

    @property
    def entry(self) -> Callable[..., Any]:
        """What a call of this function calls."""
        return self.__call__

    @entry.setter
    def entry(self, target: Callable[..., Any]) -> None:
        self.__call__ = target

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs for these inputs (by position or by name), after the updates.

        This is the call with every check and conversion, in Python.
        """
        arrays, dims = self.binding.bind(args, kwargs)
        return self.structure.build([_scalar(a) for a in self.run(arrays, dims)])

    def run(self, arrays: list[Array], dims: Mapping[str, int]) -> list[Array]:
        """The outputs in order as arrays, for bound arrays."""
        if 0 in dims.values():
            self._check_empty(dims)
        check_outputs(self.graph, dims)
        with self._locks, reporting_memory(self.name):
            known = len(self._variants.listed)
            runner = self._variants.find(dims)
            if len(self._variants.listed) > known:
                self._show(arrays, dims, runner)
            try:
                return runner(arrays, self.rng)
            except RuntimeCheckError as error:
                raise explain_failure(self.graph, error, arrays, dims, self.rng) from None

    def run_batches(
        self,
        dims: Mapping[str, int],
        arrays: list[Array],
        batched: list[bool],
        order: Array,
        held: HeldData | None = None,
    ) -> list[Array] | None:
        """Step after step over the rows that `order` names, in native code; None without it.

        `arrays` have the inputs' dtypes; those that are `batched` give each step its rows.
        Returns one array an output, with an axis for the steps.
        """
        with self._locks, reporting_memory(self.name):
            runner = self._variants.find(dims)
            if held is not None or not self.native.holds_data:
                return runner.epoch(arrays, batched, order, held)
            with self._kept.of([a for a, taken in zip(arrays, batched) if taken]) as kept:
                return runner.epoch(arrays, batched, order, kept)

    def specialize(self, **dims: int) -> None:
        """Compile for these sizes now."""
        check_dims(self.name, self.dims, dims)
        with self._locks:
            self._variants.specialize(dims)

    @checked
    def run_epoch(
        self,
        arrays: Any,
        batch_size: int,
        shuffle: bool = True,
        drop_last: bool = False,
        seed: int | None = None,
    ) -> Any:
        """Call it on every minibatch of the arrays; the outputs of all steps, stacked.

        `arrays` is a list in the order of the inputs or a dict by name. Arrays of inputs without
        a batch axis are passed whole. Outputs whose shapes differ from step to step (a smaller
        last batch) come as a list. The order depends on `seed` (None: the function's seed and
        the number of epochs that it has run). A GPU keeps read-only arrays until the next call.
        """
        return run_epoch(self, arrays, batch_size, shuffle, drop_last, seed)

    # -- how -----------------------------------------------------------------------------

    @property
    def program(self) -> Program:
        """What the compiler made of the graph, before code generation."""
        from graphc.compiler.pipeline import compile_graph

        with self._compiling:
            if self._program is None:
                self._program = compile_graph(self.graph, self.options)
            return self._program

    def _build(self, dims: Mapping[str, int]) -> Runner:
        """Code for given sizes."""
        with paused_collection():
            runner = self.native.build(dims)
        self._enter_natively()
        return runner

    def _build_generic(self) -> GenericCode:
        """Code for all sizes."""
        with paused_collection():
            code = self.native.build_generic()
        self._enter_natively()
        return code

    def _enter_natively(self) -> None:
        """Let calls go to the code by the backend's way, where it has one."""
        fast = self.native.entry
        if fast is not None and not environment().check:
            self.entry = fast

    @property
    def native(self) -> BackendFunction:
        """The function as its backend keeps it."""
        if self._native is None:
            self._native = find_backend(self.target, self.graph).function(
                self.graph, self.options, lambda: self.program, self.structure, self.rng, self.call
            )
        return self._native

    def _check_empty(self, dims: Mapping[str, int]) -> None:
        """Refuse to learn from nothing, and ops that have no value for nothing."""
        empty = next(name for name, value in dims.items() if value == 0)
        if self.graph.updates:
            raise ShapeError(
                f"{self.name}: dim {empty} is 0: an empty batch updates nothing",
                operands=tuple(
                    ("wanted", f"{n.name} {n.type}", n.origin)
                    for n in self.graph.inputs
                    if empty in {d.name for d in n.type.dims()}
                ),
                origin=origins.find_origin(),
                hint=f"do not call it when {empty} is 0",
            )
        specialize(self.graph, dims)


@contextmanager
def paused_collection() -> Iterator[None]:
    """Compile without garbage collection: graphs are large, and nearly all of them stay."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _scalar(array: Array) -> Any:
    return array if array.ndim else array[()]

"""The interpreter as a backend: what `target="interpret"` runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from graphc.compiler.options import Options
from graphc.errors import UnsupportedError
from graphc.ir.graph import Graph, Node
from graphc.ir.interpret import Interpreter, Random
from graphc.ir.storage import stored
from graphc.ir.structure import Structure
from graphc.ir.types import Array
from graphc.runtime.backend import Backend, HeldData, Launch

if TYPE_CHECKING:
    from graphc.compiler.program import Program


class Executor:
    """Runs a graph with its updates."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph

    def __call__(self, arrays: Sequence[Array], dims: Mapping[str, int], rng: Array) -> list[Array]:
        """Outputs in order, after every update was made; a failure leaves everything alone."""
        outputs, new = self.compute(arrays, dims, (int(rng[0]), int(rng[1])))
        rng[1] += np.uint64(1)
        for (node, _), value in zip(self.graph.updates, new):
            parameter = stored(node)
            parameter.memory[...] = value
            parameter.version[0] += 1
        return outputs

    def compute(
        self, arrays: Sequence[Array], dims: Mapping[str, int], rng: Random
    ) -> tuple[list[Array], list[Array]]:
        """Outputs and new parameter values, as arrays that own their memory; nothing is updated."""
        values = dict(zip(self.graph.inputs, arrays))
        results = Interpreter(dims, rng).run(self.graph.roots, values)
        owned = [np.array(a, order="C") for a in results]
        count = len(self.graph.outputs)
        return owned[:count], owned[count:]


class InterpretedRunner:
    """A graph for given sizes, computed node by node."""

    used = False
    threads: int | None = None
    languages: tuple[str, ...] = ()

    def __init__(self, executor: Executor, dims: Mapping[str, int]) -> None:
        self.executor, self.dims = executor, dims

    def __call__(self, arrays: Sequence[Array], rng: Array) -> list[Array]:
        """The outputs in order, after every update was made."""
        return self.executor(arrays, self.dims, rng)

    def epoch(
        self,
        arrays: Sequence[Array],
        batched: Sequence[bool],
        order: Array,
        held: HeldData | None = None,
    ) -> None:
        """There is no loop over steps but Python's."""

    def release(self) -> None:
        """Nothing is bound."""

    def source(self, language: str) -> NoReturn:
        """There is no generated code."""
        raise UnsupportedError(f"source: the interpreter makes no code, in {language} or otherwise")

    def kernel_sources(self) -> Mapping[str, str]:
        """There are no kernels."""
        return {}

    def launches(self) -> Sequence[Launch]:
        """There are no kernels."""
        return ()

    @property
    def machine(self) -> None:
        """No machine's."""

    def profile(self, arrays: Sequence[Array], rng: Array) -> None:
        """There are no kernels."""


class InterpretedFunction:
    """A function that the interpreter computes, for any sizes."""

    entry: Callable[..., Any] | None = None

    holds_data = False

    def __init__(self, graph: Graph) -> None:
        self.executor = Executor(graph)

    def build(self, dims: Mapping[str, int]) -> InterpretedRunner:
        """The interpreter for given sizes."""
        return InterpretedRunner(self.executor, dims)

    def build_generic(self) -> InterpretedFunction:
        """The same for all sizes."""
        return self

    def bind(self, dims: Mapping[str, int]) -> InterpretedRunner:
        """The interpreter for given sizes."""
        return InterpretedRunner(self.executor, dims)


class InterpretBackend:
    """What `graphc.runtime.backend.load_backend("interpret")` finds."""

    name = "interpret"

    def target(self) -> None:
        """numpy runs anywhere."""

    def surroundings(self) -> tuple[tuple[str, str], ...]:
        """It looks for nothing."""
        return ()

    def missing(self, graph: Graph) -> tuple[Node, ...]:
        """Every op has a meaning in numpy."""
        return ()

    def check(self, options: Options) -> None:
        """It always runs."""

    def function(
        self,
        graph: Graph,
        options: Options,
        program: Callable[[], Program],
        structure: Structure,
        rng: Array,
        slow: Callable[..., Any],
    ) -> InterpretedFunction:
        """A function that is computed from its graph; nothing is compiled."""
        return InterpretedFunction(graph)


backend: Backend = InterpretBackend()

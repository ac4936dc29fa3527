"""A launch plan as plain data (anything that JSON can say), without the code of its kernels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphc.ir.types import find_dtype
from graphc_cuda.device.program import DeviceArray, DeviceKernel, Program
from graphc_cuda.launch import (
    DynamicLoop,
    FillNode,
    KernelNode,
    LaunchPlan,
    LibraryNode,
    Node,
    Place,
    Region,
)
from graphc_cuda.library.epilogue import Epilogue
from graphc_cuda.library.product import Matrix, Product

Data = Any  # lists, dicts, texts and numbers


def plan_to_data(plan: LaunchPlan) -> Data:
    """What a plan says, but for the bodies of kernels and where they come from."""
    return _Writer(plan).plan()


def plan_from_data(data: Data) -> LaunchPlan:
    """The plan, with kernels that have no body: their code is elsewhere."""
    return _Reader(data).plan()


class _Writer:
    def __init__(self, source: LaunchPlan) -> None:
        self.source = source
        self.kernels = {k: i for i, k in enumerate(source.program.kernels)}
        self.regions = {r: i for i, r in enumerate(source.regions)}

    def plan(self) -> Data:
        """Everything."""
        source = self.source
        return {
            "name": source.name,
            "kernels": [_kernel(k) for k in self.kernels],
            "regions": [[r.role, r.number, source.regions[r]] for r in self.regions],
            "nodes": self.nodes(source.nodes),
            "edges": [list(pair) for pair in source.edges],
            "prepare": self.nodes(source.prepare),
            "commit": source.commit,
        }

    def nodes(self, nodes: Sequence[Node]) -> Data:
        """A list of nodes."""
        return [self.node(n) for n in nodes]

    def node(self, node: Node) -> Data:
        """The kind of a node and its fields."""
        match node:
            case KernelNode(kernel=kernel, grid=grid, arguments=arguments):
                return ["kernel", self.kernels[kernel], grid, [self.place(p) for p in arguments]]
            case FillNode(place=place, value=value):
                return ["fill", self.place(place), value]
            case LibraryNode(name=name, product=product, arguments=arguments):
                places = [self.place(p) for p in arguments]
                return ["library", name, _product(product), places]
            case DynamicLoop():
                return [
                    "loop",
                    self.nodes(node.before),
                    [self.nodes(n) for n in node.iterations],
                    [self.nodes(n) for n in node.after],
                    None if node.count is None else self.place(node.count),
                    [self.place(p) for p in node.conditions],
                    node.turns,
                ]

    def place(self, place: Place) -> Data:
        """Region, offset and size; a region that has no bytes has no number."""
        return [self.regions.get(place.region, -1), place.offset, place.size]


def _product(product: Product) -> Data:
    matrices = [
        [m.dtype.name, m.rows, m.columns, m.leading, m.stride, m.transposed]
        for m in product.matrices
    ]
    after = [product.epilogue.function, product.epilogue.has_bias]
    return [product.batch, product.steps, matrices, product.compute, after]


def _read_product(batch: int, steps: int, matrices: Data, compute: str, after: Data) -> Product:
    found = []
    for name, *numbers in matrices:
        dtype = find_dtype(name)
        assert dtype is not None
        found.append(Matrix(dtype, *numbers))
    a, b, c = found
    return Product(batch, steps, a, b, c, compute, Epilogue(*after))


def _kernel(kernel: DeviceKernel) -> Data:
    arrays = [[a.name, a.dtype.name, a.size, a.holds] for a in kernel.arrays]
    written = [i for i, a in enumerate(kernel.arrays) if a in kernel.written]
    return [kernel.name, kernel.block, arrays, written, list(kernel.note)]


class _Reader:
    def __init__(self, data: Data) -> None:
        self.data = data
        self.kernels = [_read_kernel(*fields) for fields in data["kernels"]]
        self.regions = [Region(role, number) for role, number, _ in data["regions"]]

    def plan(self) -> LaunchPlan:
        """Everything."""
        data = self.data
        return LaunchPlan(
            data["name"],
            Program(data["name"], (), tuple(self.kernels)),
            self.nodes(data["nodes"]),
            tuple((earlier, later) for earlier, later in data["edges"]),
            self.nodes(data["prepare"]),
            data["commit"],
            {r: size for r, (_, _, size) in zip(self.regions, data["regions"])},
        )

    def nodes(self, data: Data) -> tuple[Node, ...]:
        """A list of nodes."""
        return tuple(self.node(*fields) for fields in data)

    def node(self, kind: str, *fields: Data) -> Node:
        """One node."""
        if kind == "kernel":
            number, grid, arguments = fields
            return KernelNode(self.kernels[number], grid, tuple(map(self.place, arguments)))
        if kind == "fill":
            return FillNode(self.place(fields[0]), fields[1])
        if kind == "library":
            places = tuple(map(self.place, fields[2]))
            return LibraryNode(fields[0], _read_product(*fields[1]), places)
        before, iterations, after, count, conditions, turns = fields
        return DynamicLoop(
            self.nodes(before),
            tuple(map(self.nodes, iterations)),
            tuple(map(self.nodes, after)),
            None if count is None else self.place(count),
            tuple(map(self.place, conditions)),
            turns,
        )

    def place(self, data: Data) -> Place:
        """Bytes of a region."""
        number, offset, size = data
        return Place(self.regions[number], offset, size)


def _read_kernel(name: str, block: int, arrays: Data, written: Data, note: Data) -> DeviceKernel:
    found = []
    for array_name, dtype_name, size, holds in arrays:
        dtype = find_dtype(dtype_name)
        assert dtype is not None
        found.append(DeviceArray(array_name, dtype, size, holds=holds))
    return DeviceKernel(
        name, tuple(found), (), block, frozenset(found[i] for i in written), note=tuple(note)
    )

"""What a step launches, for people: sizes, forms, registers, occupancy, and the GPU's limits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace

from graphc.errors import BackendError
from graphc.ir.schedule import KernelCall, LoopCall, Schedule
from graphc.runtime.backend import Launch, Machine
from graphc_cuda.device.program import DeviceKernel
from graphc_cuda.launch import DynamicLoop, KernelNode, LaunchPlan, LibraryNode, Node
from graphc_cuda.machine_code import CompiledProgram, compile_program, kernel_occupancy
from graphc_cuda.sectors import sector_ratio

# Peak float32 rate without tensor cores and memory bandwidth, from NVIDIA's data sheets.
H200 = Machine(67e12, 4.8e12, "H200")
A100 = Machine(19.5e12, 2.0e12, "A100")


def machine_of(capability: tuple[int, int]) -> Machine:
    """The GPU of a compute capability whose limits are known, the nearest older one."""
    return H200 if capability >= (9, 0) else A100


def list_launches(
    plan: LaunchPlan, schedule: Schedule, capability: tuple[int, int], route: str
) -> tuple[Launch, ...]:
    """Every launch of a plan in order, those of one kernel for one call once."""
    numbers = {c: i - len(schedule.prepare) for i, c in enumerate(schedule.prepare)}
    for i, call in enumerate(schedule.calls):
        numbers |= dict.fromkeys(_with_inner(call), i)
    nodes = [*single_nodes(plan.prepare), *single_nodes(plan.nodes)]
    counts = Counter(_identity(n) for n in nodes)
    compiled = _compiled(plan, capability, route)
    first = {_identity(n): n for n in reversed(nodes)}
    found = []
    for key, count in counts.items():
        node = first[key]
        number = 0 if node.call is None else numbers[node.call]
        found.append(_launch(node, number, count, compiled, capability))
    return tuple(found)


def _identity(node: KernelNode | LibraryNode) -> tuple[object, ...]:
    """What repetitions of a launch have in common."""
    if isinstance(node, LibraryNode):
        return node.name, node.product, node.call
    return node.kernel, node.grid, node.call


def _with_inner(call: KernelCall) -> Iterator[KernelCall]:
    """A call and those that it repeats."""
    yield call
    if isinstance(call, LoopCall):
        for inner in call.inner:
            yield from _with_inner(inner)


def kernel_nodes(nodes: Sequence[Node]) -> Iterator[KernelNode]:
    """The launches of kernels among nodes; of a loop, each of an iteration once."""
    return (n for n in single_nodes(nodes) if isinstance(n, KernelNode))


def single_nodes(nodes: Sequence[Node]) -> Iterator[KernelNode | LibraryNode]:
    """Kernels and calls of libraries among nodes; of a loop of the host, each iteration's once."""
    for node in nodes:
        if isinstance(node, (KernelNode, LibraryNode)):
            yield node
        elif isinstance(node, DynamicLoop):
            yield from single_nodes(node.before)
            steps = range(node.most)
            parts = (node.iteration(step, node.most) for step in steps)
            yield from single_nodes([n for part in parts for n in part])
            yield from single_nodes(node.after[-1] if node.after else ())


def call_seconds(
    nodes: Sequence[Node], calls: Sequence[KernelCall], seconds: Sequence[float]
) -> list[float]:
    """The seconds of every call of a schedule, of those of its launches."""
    numbers = {inner: i for i, call in enumerate(calls) for inner in _with_inner(call)}
    found = [0.0] * len(calls)
    for node, spent in zip(nodes, seconds):
        for launch in list(single_nodes([node]))[:1]:
            if isinstance(launch, LibraryNode):
                if launch.call is not None:
                    found[numbers[launch.call]] += spent
                continue
            blocks = sum(part.grid for part in launch.single)
            for part in launch.single:
                if part.call is not None:
                    found[numbers[part.call]] += spent * part.grid / blocks
    return found


def _compiled(plan: LaunchPlan, capability: tuple[int, int], route: str) -> CompiledProgram | None:
    """The machine code, where this machine can make it."""
    try:
        return compile_program(plan.program, capability, route=route)
    except BackendError:
        return None


def _launch(
    node: KernelNode | LibraryNode,
    number: int,
    count: int,
    compiled: CompiledProgram | None,
    capability: tuple[int, int],
) -> Launch:
    nbytes = sum(place.size for place in node.arguments)
    if isinstance(node, LibraryNode):
        nbytes -= node.arguments[3].size
        return Launch(number, node.name, str(node.product), 0, 0, nbytes, count)
    kernel: DeviceKernel = node.kernel
    form = f"{kernel.form}{_parts(node)}"
    launch = Launch(number, kernel.name, form, node.grid, kernel.block, nbytes, count)
    launch = replace(launch, sectors=sector_ratio(node))
    facts = None if compiled is None else compiled.resources(kernel)
    if facts is None:
        return launch
    return replace(
        launch,
        registers=facts.registers,
        spilled_bytes=facts.spill_stores,
        shared_bytes=max(facts.shared, kernel.shared_bytes),
        occupancy=kernel_occupancy(kernel, facts, capability).share,
    )


def _parts(node: KernelNode) -> str:
    """What a merged launch stands for."""
    if not node.parts:
        return ""
    names = dict.fromkeys(f"{p.kernel.name} {p.grid}" for p in node.parts)
    return f" ({', '.join(names)})"

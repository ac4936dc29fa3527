"""A compiled function that Python can call."""

from __future__ import annotations

import sys
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from graphc.errors import ArgumentError, DTypeError, GraphcError, RuntimeCheckError, ShapeError
from graphc.ir.storage import WriteGuard
from graphc.ir.types import Array
from graphc_llvm.runtime import structs
from graphc_llvm.runtime.barrier import NO_FAILURE
from graphc_llvm.runtime.bound_code import BoundCode
from graphc_llvm.runtime.description import InputSlot
from graphc_llvm.runtime.entry import make_entry
from graphc_llvm.runtime.lookup import MAX_LISTED, Lookup
from graphc_llvm.runtime.memory import Workspace
from graphc_llvm.runtime.native_lock import NativeLock, hold_all, refuse_handler
from graphc_llvm.runtime.pool import THREAD_BODY, ThreadPool, thread_pool
from graphc_llvm.runtime.structs import Pointers
from graphc_llvm.runtime.support import support

NEVER = 1 << 40
STALE = -1  # what prepared values were made of has changed: prepare again, then run


class NativeFunction:
    """Variants of one compiled function, one workspace, and the guards of what they write.

    `entry` is what to call: a built-in function that takes arrays as they are when they fit a
    bound variant exactly and hands every other call to `slow`, with the same arguments. `slow`
    defaults to `run_in_python`; a bound method is not kept alive. `failure` turns the number of a
    failed check into an exception. Calls exclude each other, and calls of functions that have a
    guard in common. Where a guard is not native or values may be elsewhere, all calls take the
    detour by `slow`, which holds the guards in Python and has `bring` fetch the values. With
    ``native=False`` everything happens in Python, on one thread.
    """

    def __init__(
        self,
        name: str,
        *,
        slow: Callable[..., Any] | None = None,
        guards: Sequence[WriteGuard] = (),
        failure: Callable[[int], Exception] | None = None,
        bring: Callable[[], None] = lambda: None,
        pool: ThreadPool | None = None,
        native: bool = True,
    ) -> None:
        self.name = name
        self._detour = False
        self._foreign: tuple[WriteGuard, ...] = ()  # guards that Python takes
        self.guards: tuple[NativeLock, ...] = ()
        self._sort_guards(guards)
        self._failure, self._bring = failure, bring
        self._pool = pool or thread_pool()
        self._native = support() if native else None
        self._workspace = Workspace(name)
        self._variants: list[BoundCode] = []
        # A call may be reading the tables of variants that a finaliser unbinds: keep them a while.
        self._retired: deque[BoundCode] = deque(maxlen=64)
        self._names: deque[list[str]] = deque(maxlen=4)
        self._name_tables: deque[Pointers] = deque(maxlen=4)
        # All guards that there ever were, with their tables.
        self._held: list[tuple[tuple[NativeLock, ...], Pointers]] = []
        self._slow = _weak_method(slow or self.run_in_python)
        self._table = self._make_table()
        self._lookup = Lookup(self._table)
        self.entry = self._make_entry()

    # ------------------------------------------------------------------ variants

    @property
    def variants(self) -> tuple[BoundCode, ...]:
        """The bound variants; calls try them in this order."""
        return tuple(self._variants)

    def bind(self, variant: BoundCode) -> None:
        """Make a variant the first one that calls try; memory is taken at the next call."""
        d = variant.description
        scratch = d.scratch_bytes * d.threads
        with hold_all(self.guards):
            if variant in self._variants:
                self._variants.remove(variant)
                self._lookup.drop()
            fits = self._workspace.has(d.arena_bytes, scratch)
            joins = fits and self._lookup.takes_one_more(len(self._variants))
            self._variants.insert(0, variant)
            if len(self._variants) == 1:
                self._name_arguments()
            if joins:
                variant.place(self._workspace)
                self._lookup.add(variant)
            else:
                self._lookup.drop()  # the next call goes to the slow path, which activates
        if joins:
            self._pool.ensure(d.threads)

    def rebind(self, variants: Sequence[BoundCode]) -> None:
        """Make these the variants; memory is taken at the next call."""
        with hold_all(self.guards):
            self._lookup.drop()
            self._retired += [v for v in self._variants if v not in variants]
            self._variants[:] = variants
            self._name_arguments()

    def unbind(self, variant: BoundCode) -> None:
        """Let no call find a variant any more."""
        with hold_all(self.guards):
            self._retired.append(variant)
            self._variants.remove(variant)
            if self._lookup.built:
                self._lookup.remove(variant)

    def add_lock(self, guard: WriteGuard) -> None:
        """Take one more guard in every call."""
        with hold_all(self.guards):
            self._sort_guards((*self._foreign, *self.guards, guard))
            self._put_guards(self._table)
            self._name_arguments()

    def take_detour(self) -> None:
        """Hand every call to `slow` from now on."""
        with hold_all(self.guards):
            self._detour = True
            self._name_arguments()

    def _sort_guards(self, guards: Sequence[WriteGuard]) -> None:
        # In one order for all functions: two that wait for each other's guards would never end.
        ordered = sorted(dict.fromkeys(guards), key=lambda g: g.number)
        mine = tuple(g for g in ordered if isinstance(g, NativeLock))
        self.guards = mine or self.guards or (NativeLock(),)
        self._foreign = tuple(g for g in ordered if not isinstance(g, NativeLock))
        self._detour = self._detour or bool(self._foreign)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold all guards for the block, with every value in the host's memory."""
        with hold_all(self._foreign), hold_all(self.guards):
            self._bring()
            yield

    def activate(self) -> None:
        """Take memory for the bound variants and let the entry find them.

        Raises MemoryBudgetError.
        """
        with hold_all(self.guards):
            bodies = [v.description for v in self._variants]
            self._lookup.drop()
            for variant in self._variants:
                variant.place(None)
            self._workspace.reserve(
                max((d.arena_bytes for d in bodies), default=0),
                max((d.scratch_bytes * d.threads for d in bodies), default=0),
                spare=len(bodies) > MAX_LISTED,
            )
            for variant in self._variants:
                variant.place(self._workspace)
            self._lookup.build(self._variants)
        self._pool.ensure(max((d.threads for d in bodies), default=1))

    # --------------------------------------------------------------------- calls

    def __call__(self, *args: Any, **named: Any) -> Any:
        """Call the entry; calling `entry` itself is faster."""
        return self.entry(*args, **named)

    def run_in_python(self, *args: Any, **named: Any) -> Any:
        """The same as `entry`, in Python; takes keywords and any strides.

        Raises ArgumentError, DTypeError, ShapeError, RuntimeCheckError.
        """
        if not self._variants:
            raise ArgumentError(f"{self.name}: nothing is bound")
        arrays = [np.asarray(v) for v in self._by_position(args, named)]
        for variant in self._variants:
            if all(_mismatch(i, a) is None for i, a in zip(variant.description.inputs, arrays)):
                return self.run(variant, arrays)
        given = self._variants[0].description.inputs
        raise next(e for e in map(_mismatch, given, arrays) if e is not None)

    def run(self, variant: BoundCode, arrays: Sequence[Array]) -> Any:
        """Run a bound variant on arrays of exactly its types; returns the user's structure."""
        d = variant.description
        kept = [np.ascontiguousarray(a).reshape(a.shape) for a in arrays]
        for given, array in zip(d.inputs, kept, strict=True):
            if (error := _mismatch(given, array)) is not None:
                raise error
        results: list[Array] = [np.empty(o.shape, o.dtype.numpy) for o in d.outputs]
        status = self.execute(variant, kept, results)
        if status != NO_FAILURE:
            raise self.failure(status)
        return d.structure.assemble([r[()] if r.ndim == 0 else r for r in results])

    def execute(self, variant: BoundCode, inputs: Sequence[Array], outputs: Sequence[Array]) -> int:
        """Run a bound variant between arrays that the caller has checked.

        Returns the failure, or STALE.
        """
        sources = structs.pointers([a.ctypes.data for a in inputs])
        targets = structs.pointers([a.ctypes.data for a in outputs])
        self.prepare_to_run(variant)
        if self._native is None:
            return self._execute_in_python(variant, sources, targets)
        tables = structs.address(sources), structs.address(targets)
        native, function = self._native, structs.address(self._table)
        return self._call_with_locks(
            lambda: native.call(function, variant.address, *tables),
            lambda: native.call_held(function, variant.address, *tables),
        )

    def execute_steps(self, variant: BoundCode, epoch: structs.EpochStruct) -> int:
        """Run the steps of an epoch's table (see epoch.py); returns the failure."""
        assert self._native is not None
        self.prepare_to_run(variant)
        native, table = self._native, structs.address(self._table)
        return self._call_with_locks(
            lambda: native.epoch(table, structs.address(epoch)),
            lambda: native.epoch_held(table, structs.address(epoch)),
        )

    @property
    def is_native(self) -> bool:
        """False where everything happens in Python."""
        return self._native is not None

    def prepare_to_run(self, variant: BoundCode) -> None:
        """Give a bound variant its memory and its threads."""
        assert variant in self._variants
        if not self._lookup.built:
            self.activate()
        self._pool.ensure(variant.description.threads)  # again after a fork

    def _call_with_locks(self, call: Callable[[], int], call_held: Callable[[], int]) -> int:
        """The status of a native call; where a guard was taken, of one with all of them held.

        Who waits gets its turn, however often others call. STALE where prepared values are.
        """
        if self._detour:
            call = partial(self._call_held, call_held)
        while (status := call()) < 0:
            if -1 - status < len(self.guards):
                assert self._native is not None
                refuse_handler(self._native)
                with hold_all(self.guards):
                    status = call_held()
            place = -1 - status
            if status >= 0:
                return status
            if place > len(self.guards):
                return STALE
            self.activate()  # rebound in between
        return status

    def _call_held(self, call: Callable[[], int]) -> int:
        with self.held():
            return call()

    # ----------------------------------------------------------------- in Python

    def _execute_in_python(self, variant: BoundCode, sources: Pointers, targets: Pointers) -> int:
        d = variant.description
        with self.held():
            for given, pointer in zip(d.inputs, sources):
                variant.ctx[given.slot] = pointer or 0
            for result, pointer in zip(d.outputs, targets):
                variant.ctx[result.slot] = pointer or 0
            variant.team[:4].view(np.uint32)[0] = NO_FAILURE
            THREAD_BODY(variant.body)(variant.ctx.ctypes.data, 0, 1)
            if variant.status == NO_FAILURE:
                _count_step(variant)
            return variant.status

    def _by_position(self, args: Sequence[Any], named: dict[str, Any]) -> list[Any]:
        names = [i.name for i in self._variants[0].description.inputs]
        if len(args) > len(names):
            raise ArgumentError(f"{self.name}: takes {len(names)} arrays, got {len(args)}")
        values = dict(zip(names, args))
        for name, value in named.items():
            if name in values or name not in names:
                known = "is given twice" if name in values else f"is not one of {names}"
                raise ArgumentError(f"{self.name}: the argument {name!r} {known}")
            values[name] = value
        missing = [name for name in names if name not in values]
        if missing:
            raise ArgumentError(f"{self.name}: missing {', '.join(missing)}")
        return [values[name] for name in names]

    def failure(self, code: int) -> Exception:
        """The exception for the number of a failed check.

        Raises what a signal's handler has raised meanwhile.
        """
        native = support()
        if native is not None:
            native.reraise()
        if self._failure is not None:
            return self._failure(code)
        return RuntimeCheckError(f"{self.name}: check {code} failed; nothing was updated")

    # -------------------------------------------------------------------- tables

    def _name_arguments(self) -> None:
        names = [i.name for v in self._variants[:1] for i in v.description.inputs]
        # The tables keep what they point at: a call may be looking at the ones before.
        self._names.append([sys.intern(name) for name in names])
        self._name_tables.append(structs.pointers([id(name) for name in self._names[-1]]))
        self._table.names = structs.address(self._name_tables[-1])
        # No call has so many: all of them are for the slow path.
        self._table.arguments = NEVER if self._detour else len(names)
        self._table.version += 1  # calls that have begun look again

    def _make_table(self) -> structs.FunctionStruct:
        table = structs.FunctionStruct()
        self._put_guards(table)
        self._empty: tuple[()] = ()
        table.slow, table.pool = id(self._slow), self._pool.address
        table.empty, table.none = id(self._empty), id(None)
        return table

    def _put_guards(self, table: structs.FunctionStruct) -> None:
        self._held.append((self.guards, structs.pointers([g.address for g in self.guards])))
        table.guard_table = structs.address(self._held[-1][1])
        table.guards = len(self.guards)

    def _make_entry(self) -> Callable[..., Any]:
        if self._native is None:
            return self._slow
        alive = (
            self._slow, self._held, self._pool, self._variants, self._retired,
            self._lookup, self._workspace, self._names, self._name_tables, self._empty,
        )  # fmt: skip
        return make_entry(self._native.entry, self.name, self._table, *alive)


def _mismatch(given: InputSlot, array: Array) -> GraphcError | None:
    """What is wrong with an array, if anything."""
    if array.dtype != given.dtype.numpy:
        return DTypeError(f"{given.name}: is {array.dtype.str}, has to be {given.dtype.name}")
    if array.shape != given.shape:
        return ShapeError(f"{given.name}: has shape {array.shape}, has to be {given.shape}")
    return None


def _count_step(variant: BoundCode) -> None:
    """What native code does after a step that went well."""
    if variant.random is not None:
        step = (int(variant.random[2]) | int(variant.random[3]) << 32) + 1
        variant.random[2], variant.random[3] = step & 0xFFFFFFFF, step >> 32 & 0xFFFFFFFF
    for bump in variant.bumps:
        bump += 1


def _weak_method(call: Callable[..., Any]) -> Callable[..., Any]:
    """A callable that does not keep a bound method's object alive."""
    if not hasattr(call, "__self__") or not hasattr(call, "__func__"):
        return call
    method = weakref.WeakMethod(call)

    def slow(*args: Any, **named: Any) -> Any:
        found = method()
        if found is None:
            raise ReferenceError("the function that this entry belongs to is gone")
        return found(*args, **named)

    return slow

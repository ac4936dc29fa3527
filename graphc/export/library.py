"""Exported libraries in Python, with numpy alone."""

from __future__ import annotations

import ctypes
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphc.errors import (
    ArgumentError,
    DTypeError,
    NameError,
    RuntimeCheckError,
    ShapeError,
    UnsupportedError,
)  # fmt: skip
from graphc.export.library_files import (
    checked_library,
    numpy_dtype,
    open_library,
    shape_of,
    size_of,
)  # fmt: skip

Array = NDArray[Any]


class Library:
    """An exported library with a workspace of its own."""

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path, self.manifest = path, manifest
        self.name: str = manifest["name"]
        self._open()
        self.functions = {f["name"]: LibraryFunction(self, f) for f in manifest["functions"]}
        self.parameters: Mapping[str, Any] = Parameters(self)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the first function."""
        return next(iter(self.functions.values()))(*args, **kwargs)

    def __getattr__(self, name: str) -> LibraryFunction:
        functions: dict[str, LibraryFunction] = self.__dict__.get("functions", {})
        if name not in functions:
            raise AttributeError(f"library {self.name} has no function {name}")
        return functions[name]

    def __repr__(self) -> str:
        return f"<Library {self.name}: {', '.join(self.functions)} ({self.path})>"

    def selftest(self) -> None:
        """Run the recorded calls; raises RuntimeCheckError where results differ."""
        try:
            function = self._symbol("selftest")
        except AttributeError:
            raise UnsupportedError(f"{self.name} was exported without a self-test") from None
        self.check(function(*self._weights()), "selftest")

    def save(self) -> bytes:
        """Parameters and random streams, as `load` takes them."""
        buffer = np.empty(self.manifest["workspace"]["state_bytes"], np.uint8)
        self.check(self._symbol("save")(*self._given(buffer)), "save")
        return buffer.tobytes()

    def load(self, saved: bytes) -> None:
        """Put back what `save` returned."""
        if not isinstance(saved, (bytes, bytearray, memoryview)):
            raise ArgumentError(f"{self.name}: load takes the bytes of `save`, got {saved!r}")
        buffer = np.frombuffer(saved, np.uint8)
        self.check(self._symbol("load")(*self._given(buffer)), "load")

    def _given(self, buffer: Array) -> tuple[Any, ...]:
        return self.workspace, ctypes.c_void_p(buffer.ctypes.data), ctypes.c_size_t(buffer.nbytes)

    @property
    def workspace(self) -> ctypes.c_void_p:
        """Where everything is."""
        return ctypes.c_void_p(self._workspace.ctypes.data)

    def _run(self, facts: Mapping[str, Any], sizes: Sequence[int], arrays: Sequence[Array]) -> int:
        """Call a function on dims, inputs and outputs; its status."""
        symbol = self.symbol(facts["symbol"])
        pointers = [ctypes.c_void_p(a.ctypes.data) for a in arrays]
        status: int = symbol(self.workspace, *map(ctypes.c_int64, sizes), *pointers)
        return status

    def _copy_parameter(self, word: str, name: str, value: Array) -> int:
        """Read ("get") a parameter into an array, or "set" it; the status."""
        data, size = ctypes.c_void_p(value.ctypes.data), ctypes.c_size_t(value.nbytes)
        symbol = self._symbol(f"{word}_parameter")
        status: int = symbol(self.workspace, name.encode(), data, size)
        return status

    def _set_random(self, facts: Mapping[str, Any], seed: int, step: int) -> int:
        """Set the random stream of a function; the status."""
        symbol = self.symbol(f"{facts['symbol']}_set_random")
        status: int = symbol(self.workspace, ctypes.c_uint64(seed), ctypes.c_uint64(step))
        return status

    def _get_random(self, facts: Mapping[str, Any]) -> tuple[int, int]:
        """The random stream of a function."""
        seed, step = ctypes.c_uint64(), ctypes.c_uint64()
        symbol = self.symbol(f"{facts['symbol']}_get_random")
        status = symbol(self.workspace, ctypes.byref(seed), ctypes.byref(step))
        self.check(status, "get_random")
        return seed.value, step.value

    def _open(self) -> None:
        self._library = open_library(checked_library(self.path, self.manifest))
        self._workspace = aligned(self.manifest["workspace"]["bytes"], self.manifest["alignment"])
        size = ctypes.c_size_t(self._workspace.nbytes)
        self.check(self._symbol("init")(self.workspace, size, *self._weights()), "init")

    def _weights(self) -> tuple[Any, ...]:
        name = self.manifest["files"].get("weights")
        if name is None:
            return ()
        self._weights_data = np.fromfile(self.path.parent / name, np.uint8)
        data = self._weights_data
        return ctypes.c_void_p(data.ctypes.data), ctypes.c_size_t(data.nbytes)

    def _symbol(self, word: str) -> Any:
        return getattr(self._library, f"{self.name}_{word}")

    def symbol(self, name: str) -> Any:
        """A C function by its whole name."""
        return getattr(self._library, name)

    def check(self, status: int, what: str) -> None:
        """Raise unless a status is 0."""
        if status:
            raise RuntimeCheckError(f"{self.name}: {what}: {self.status_text(status)}")

    def status_text(self, status: int) -> str:
        """What a status means."""
        symbol = self._symbol("status_text")
        symbol.restype = ctypes.c_char_p
        text: bytes = symbol(status)
        return text.decode()


class Parameters(Mapping[str, Array]):
    """The parameters of a library: reading copies out, setting copies in."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self._facts = {p["name"]: p for p in library.manifest["parameters"]}

    def __getitem__(self, name: str) -> Array:
        fact = self._fact(name)
        value = np.empty(fact["shape"], numpy_dtype(fact["dtype"]))
        self._call("get", name, value)
        return value

    def __setitem__(self, name: str, value: Any) -> None:
        fact = self._fact(name)
        given = np.asarray(value)
        if list(given.shape) != fact["shape"]:
            raise ShapeError(f"parameter {name} has shape {fact['shape']}, got {given.shape}")
        wanted = numpy_dtype(fact["dtype"])
        if not np.can_cast(given.dtype, wanted, casting="same_kind"):
            raise DTypeError(f"parameter {name} is {fact['dtype']}, got {given.dtype}")
        self._call("set", name, np.ascontiguousarray(given, wanted))

    def __iter__(self) -> Iterator[str]:
        return iter(self._facts)

    def __len__(self) -> int:
        return len(self._facts)

    def _fact(self, name: str) -> Any:
        if name not in self._facts:
            known = ", ".join(self._facts) or "none"
            raise NameError(f"{self._library.name} has no parameter {name}; it has {known}")
        return self._facts[name]

    def _call(self, word: str, name: str, value: Array) -> None:
        status = self._library._copy_parameter(word, name, value)
        self._library.check(status, f"{word}_parameter {name}")


class LibraryFunction:
    """One function of a library."""

    def __init__(self, library: Library, facts: Mapping[str, Any]) -> None:
        self.library, self.facts = library, facts
        self.name: str = facts["name"]
        self._inputs: list[Any] = facts["inputs"]
        self._outputs: list[Any] = facts["outputs"]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The outputs, in the structure of the exported function."""
        arrays = [self._convert(f, v) for f, v in zip(self._inputs, self._match(args, kwargs))]
        dims = self._bind(arrays)
        sizes = [dims[d["name"]] for d in self.facts["dims"]]
        results = [
            np.empty(shape_of(f["shape"], dims), numpy_dtype(f["dtype"])) for f in self._outputs
        ]
        status = self.library._run(self.facts, sizes, [*arrays, *results])
        self.library.check(status, self.name)
        values = iter([r if r.ndim else r[()] for r in results])
        return _build(self.facts["structure"], values)

    def set_random(self, seed: int, step: int = 0) -> None:
        """Set the random stream: its seed, and the number of calls before."""
        for word, value in (("seed", seed), ("step", step)):
            if not 0 <= value < 2**64:
                raise ArgumentError(f"set_random: {word} must be from 0 to 2**64 - 1, got {value}")
        self.library.check(self.library._set_random(self.facts, seed, step), "set_random")

    @property
    def random(self) -> tuple[int, int]:
        """(seed, step) of the random stream."""
        return self.library._get_random(self.facts)

    def _match(self, args: Sequence[Any], kwargs: Mapping[str, Any]) -> list[Any]:
        names = [f["name"] for f in self._inputs]
        if len(args) > len(names):
            raise ArgumentError(f"{self.name} takes {len(names)} inputs, got {len(args)}")
        given = dict(zip(names, args))
        for name, value in kwargs.items():
            if name not in names or name in given:
                why = "is given twice" if name in given else f"is none of {', '.join(names)}"
                raise NameError(f"{self.name}: input {name} {why}")
            given[name] = value
        missing = [n for n in names if n not in given]
        if missing:
            raise NameError(f"{self.name}: missing: {', '.join(missing)}")
        return [given[n] for n in names]

    def _convert(self, fact: Mapping[str, Any], value: Any) -> Array:
        """An array of the declared dtype; only conversions that lose no value are made."""
        try:
            wanted, given = numpy_dtype(fact["dtype"]), np.asarray(value)
        except ValueError as error:
            raise ArgumentError(
                f"{self.name}: input {fact['name']}: {type(value).__name__} is no array: {error}"
            ) from None
        if given.dtype != wanted:
            with np.errstate(over="ignore"):
                made = given.astype(wanted) if _convertible(given.dtype, wanted) else None
            lossless = made is not None and (wanted.kind not in "iu" or bool((made == given).all()))
            if made is None or not lossless:
                raise DTypeError(
                    f"{self.name}: input {fact['name']} must be {fact['dtype']}, got {given.dtype}"
                )
            given = made
        if given.ndim != len(fact["shape"]):
            raise ShapeError(
                f"{self.name}: input {fact['name']} must have shape {fact['shape']},"
                f" got {list(given.shape)}"
            )
        return np.require(given, requirements=["C", "A"])

    def _bind(self, arrays: Sequence[Array]) -> dict[str, int]:
        """The values of the dims, and a check of all shapes."""
        dims: dict[str, int] = dict(self.facts["fixed"])
        limits = {d["name"]: d for d in self.facts["dims"]}
        for fact, array in zip(self._inputs, arrays):
            for size, length in zip(fact["shape"], array.shape):
                if isinstance(size, str) and size in limits:
                    dims.setdefault(size, length)
        for name, limit in limits.items():
            if name not in dims:
                dims[name] = self._solve(limit, arrays, dims)
            if not limit["min"] <= dims[name] <= limit["max"]:
                raise ShapeError(
                    f"{self.name}: {name} is {dims[name]}, outside of {limit['min']} to"
                    f" {limit['max']}"
                )
        for fact, array in zip(self._inputs, arrays):
            wanted = [size_of(s, dims) for s in fact["shape"]]
            if wanted != list(array.shape):
                raise ShapeError(
                    f"{self.name}: input {fact['name']} must have shape {fact['shape']}"
                    f" = {wanted}, got {list(array.shape)}"
                )
        return dims

    def _solve(
        self, limit: Mapping[str, Any], arrays: Sequence[Array], dims: Mapping[str, int]
    ) -> int:
        """The value of a dim that no axis has by itself."""
        name = limit["name"]
        for fact, array in zip(self._inputs, arrays):
            for size, length in zip(fact["shape"], array.shape):
                if isinstance(size, str) and name in size:
                    for value in range(limit["min"], limit["max"] + 1):
                        if size_of(size, {**dims, name: value}) == length:
                            return value
        raise ShapeError(f"{self.name}: no value of {name} fits the inputs")


def _convertible(given: np.dtype[Any], wanted: np.dtype[Any]) -> bool:
    narrowing = {("float64", "float32"), ("int64", "int32")}
    return np.can_cast(given, wanted, "safe") or (given.name, wanted.name) in narrowing


def _build(structure: Any, values: Iterator[Any]) -> Any:
    if structure is None:
        return next(values)
    children = [_build(c, values) for c in structure["children"]]
    if structure["kind"] == "dict":
        return dict(zip(structure["keys"], children))
    return children if structure["kind"] == "list" else tuple(children)


def aligned(size: int, alignment: int) -> Array:
    """Zeroed bytes, the first at a multiple of `alignment`."""
    whole = np.zeros(size + alignment, np.uint8)
    start = -whole.ctypes.data % alignment
    return whole[start : start + size]

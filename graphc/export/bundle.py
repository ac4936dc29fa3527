"""`export`: compiled functions become a folder with a library, a header, weights, a manifest."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from graphc import origin as origins
from graphc.compiler.options import parse_bytes
from graphc.errors import ArgumentError
from graphc.export.archive import apple_archive, archive
from graphc.export.backend import BuiltLibrary, LibraryBackend, load_library_backend
from graphc.export.budget import check_flash
from graphc.export.device_bundle import (
    DEVICES,
    check_device_options,
    device_files,
    write_files,
)
from graphc.export.header import header
from graphc.export.interface import Interface, make_interface
from graphc.export.javascript import loader, page
from graphc.export.library import Library
from graphc.export.load import load_library
from graphc.export.manifest import manifest
from graphc.export.selftest import Recording, record
from graphc.export.weights import safetensors
from graphc.runtime.backend import FOR_TARGET
from graphc.runtime.function import CompiledFunction

WEIGHTS = ("embedded", "separate")
THREADS = 4


@dataclass(frozen=True)
class Bundle:
    """What `export` wrote. `note` says why there is no shared library, where there is none."""

    directory: Path
    name: str
    files: tuple[str, ...]
    sizes: Mapping[str, int]
    note: str | None = None

    def load(self) -> Library:
        """The library, ready to be called (`gx.load_library`)."""
        return load_library(self.directory / f"{self.name}.json")

    def __str__(self) -> str:
        rows = [f"{self.directory}:"]
        rows += [f"  {name:<28}{self.sizes[name]:>12,} bytes" for name in self.files]
        return "\n".join(rows + ([f"  {self.note}"] if self.note else []))


def named(function: CompiledFunction, also: object) -> dict[str, CompiledFunction]:
    """The functions of a library: one, called "step" or "run", and others under their names."""
    word = "step" if function.graph.updates else "run"
    others = {} if also is None else also
    if not isinstance(others, Mapping) or not all(
        isinstance(f, CompiledFunction) for f in others.values()
    ):
        raise ArgumentError(
            f"export: `also` must be a dict of names and compiled functions, got {also!r}",
            origin=origins.find_origin(),
        )
    if word in others:
        raise ArgumentError(
            f"export: {function.name} is called {word!r} in the library: `also` needs another name",
            origin=origins.find_origin(),
        )
    return {word: function, **others}


def export(
    functions: Mapping[str, CompiledFunction],
    directory: str | os.PathLike[str],
    target: str = "host",
    weights: str = "embedded",
    *,
    name: str,
    dims: Mapping[str, int | tuple[int, int]] | None = None,
    threads: int | None = None,
    features: str = "",
    selftest: bool = True,
    frozen: bool = False,
    max_flash: int | str | None = None,
    max_ram: int | str | None = None,
) -> Bundle:
    """Write a library of functions that share parameters. See `CompiledFunction.export`."""
    _check_choices(directory, weights, threads, dims)
    _check_types(str, "a str", target=target, features=features, name=name)
    _check_types(bool, "True or False", selftest=selftest, frozen=frozen)
    flash = parse_bytes(max_flash, "export: max_flash")
    ram = parse_bytes(max_ram, "export: max_ram")
    if target in DEVICES:
        check_device_options(
            target, threads=threads, features=features, frozen=frozen, max_flash=max_flash,
            max_ram=max_ram,
        )  # fmt: skip
        files = device_files(functions, target, name, dims or {})
        write_files(Path(directory), files)
        sizes = {word: len(data) for word, data in files.items()}
        return Bundle(Path(directory), name, tuple(files), sizes)
    embedded = weights == "embedded"
    backend = load_library_backend(FOR_TARGET["cpu"])
    chosen = backend.export_target(target, features)
    count = threads if threads is not None else (THREADS if chosen.hosted else 1)
    if not embedded and chosen.object_format == "wasm":
        _fail("a WebAssembly library holds its weights: weights='separate' is not for it")
    if frozen and not embedded:
        _fail("frozen parameters are part of the code: weights='separate' is not for them")
    interface = make_interface(name, functions, dict(dims or {}), count, frozen)
    recording = record(interface) if selftest else None
    built = backend.library(interface, chosen, embedded, recording, ram)
    check_flash(built, embedded, flash)
    try:
        return _write(Path(directory), interface, built, embedded, recording, backend)
    except OSError as error:  # some do not say which file, some name a temporary one
        if error.errno is None:
            raise
        raise OSError(error.errno, error.strerror, os.fspath(directory)) from None


def _check_choices(directory: object, weights: object, threads: object, dims: object) -> None:
    if weights not in WEIGHTS:
        _fail(f"weights must be one of {', '.join(WEIGHTS)}, got {weights!r}")
    if threads is not None and not (isinstance(threads, int) and 1 <= threads <= 1024):
        _fail(f"threads must be an int from 1 to 1024, got {threads!r}")
    if not isinstance(directory, (str, os.PathLike)):
        _fail(f"the directory must be a str or a path, got {directory!r}")
    if not isinstance(dims, (Mapping, type(None))):
        _fail(f"dims must be a dict of names and sizes, got {dims!r}")


def _check_types(kind: type, expected: str, **arguments: object) -> None:
    for word, value in arguments.items():
        if not isinstance(value, kind):
            _fail(f"{word} must be {expected}, got {value!r}")


def _contents(
    interface: Interface, built: BuiltLibrary, embedded: bool, tested: bool
) -> tuple[dict[str, bytes], dict[str, str]]:
    """The files that need no linker, and by role the names of those that a manifest lists."""
    name = interface.name
    files: dict[str, bytes] = {f"{word}.o": data for word, data in built.objects.items()}
    roles = {"object": f"{name}.o", "archive": f"{name}.a", "header": f"{name}.h"}
    symbols = {
        f"{word}.o": [s for s in built.symbols if _in(s, word, name)] for word in built.objects
    }
    make = apple_archive if built.target.object_format == "macho" else archive
    files[f"{name}.a"] = make(files, symbols)
    text = header(interface, built, embedded, tested)
    files[f"{name}.h"] = text.encode()
    if not embedded:
        files[f"{name}.weights"] = saved_state(interface, built)
        roles["weights"] = f"{name}.weights"
        files[f"{name}.safetensors"] = safetensors(interface)
        roles["safetensors"] = f"{name}.safetensors"
    return files, roles


def _write(
    directory: Path,
    interface: Interface,
    built: BuiltLibrary,
    embedded: bool,
    recording: Recording | None,
    backend: LibraryBackend,
) -> Bundle:
    """Write all files, each whole or not at all, the manifest last."""
    name = interface.name
    files, roles = _contents(interface, built, embedded, recording is not None)
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory, prefix=".export-") as folder:
        place = Path(folder)
        for word, data in files.items():
            (place / word).write_bytes(data)
        linked, note = backend.link_library(place, built)
        for role, word in zip(("library", "import_library"), linked):
            files[word] = (place / word).read_bytes()
            roles[role] = word
        if roles.get("library") == f"{name}.wasm":
            code = loader(interface, recording)
            files[f"{name}.mjs"] = code.encode()
            files[f"{name}.html"] = page(interface, code, files[f"{name}.wasm"]).encode()
            roles |= {"loader": f"{name}.mjs", "page": f"{name}.html"}
            for word in (roles["loader"], roles["page"]):
                (place / word).write_bytes(files[word])
        content = manifest(interface, built.facts, files, roles).encode()
        (place / f"{name}.json").write_bytes(content)
        for word in (*files, f"{name}.json"):
            os.replace(place / word, directory / word)
    files[f"{name}.json"] = content
    sizes = {word: len(data) for word, data in files.items()}
    return Bundle(directory, name, tuple(files), sizes, note)


def _in(symbol: str, word: str, name: str) -> bool:
    """Whether the object file called `word` defines a symbol."""
    return (symbol == f"{name}_selftest") == (word == f"{name}_selftest")


def saved_state(interface: Interface, built: BuiltLibrary) -> bytes:
    """The parameters and random streams as NAME_load takes them."""
    w = built.workspace
    state = bytearray(w.state_bytes)
    for block in w.blocks:
        if block.random is not None:
            at = block.random - w.state
            state[at : at + 16] = block.entry.function.rng.tobytes()
    for parameter, offset in w.parameters.items():
        raw = parameter.memory.tobytes()
        state[offset - w.state : offset - w.state + len(raw)] = raw
    return interface.fingerprint.to_bytes(8, "little") + bytes(8) + bytes(state)


def _fail(text: str) -> None:
    raise ArgumentError(f"export: {text}", origin=origins.find_origin())

"""`graphc compile` and `graphc run`: a model becomes a library, a library computes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
import numpy as np

import graphc as gx
from graphc.cli.options import CompileOptions, RunOptions
from graphc.cli.show import bytes_text, print_columns, print_rows
from graphc.cli.subject import choose, functions_of, json_text, pairs, shapes_of, sizes
from graphc.errors import FormatError, NameError
from graphc.export.library_files import numpy_dtype, shape_of
from graphc.ir.structure import flatten
from graphc.ir.types import Array

SHOWN_ELEMENTS = 6  # elements of every output


def run_compile(source: Path, output: Path | None, options: CompileOptions) -> None:
    """Export the function that a file holds."""
    given = sizes(options["dim"])
    fixed = {name: value for name, value in given.items() if isinstance(value, int)}
    found = functions_of(source, fixed, shapes_of(options["shape"]))
    _, function = choose(found, options["function"], source)
    dims = {name: value for name, value in given.items() if name in function.dims}
    unknown = set(given) - set(dims) - (set(fixed) if source.suffix == ".onnx" else set())
    if unknown:
        known = ", ".join(function.dims) or "none"
        raise NameError(f"{source} has no dim {', '.join(sorted(unknown))}; it has {known}")
    bundle = function.export(
        output or Path(f"{source.stem}-library"), options["target"], options["weights"],
        name=options["name"] or source.stem, dims=dims, threads=options["threads"],
        features=options["features"], selftest=options["selftest"],
        max_flash=options["max_flash"], max_ram=options["max_ram"],
    )  # fmt: skip
    if options["json"]:
        facts = {"directory": str(bundle.directory), "name": bundle.name, "note": bundle.note}
        click.echo(json_text({**facts, "files": dict(bundle.sizes)}))
        return
    rows = [(name, bytes_text(bundle.sizes[name])) for name in bundle.files]
    print_rows(f"{bundle.name} in {bundle.directory}", rows)
    if bundle.note:
        click.echo(bundle.note)


def run_run(bundle: Path, inputs: tuple[str, ...], options: RunOptions) -> None:
    """Call a function of a library on arrays from files."""
    library = gx.load_library(bundle)
    if options["check"]:
        library.selftest()
    wanted = options["function"] or next(iter(library.functions))
    name, function = choose(dict(library.functions), wanted, bundle)
    arrays = {key: read_array(Path(value)) for key, value in pairs(inputs, "--input").items()}
    outputs = named_outputs(function.facts, function(**arrays))
    if options["output"] is not None:
        options["output"].mkdir(parents=True, exist_ok=True)
        for key, array in outputs.items():
            np.save(options["output"] / f"{key.replace('/', '_')}.npy", array)
    if options["json"]:
        facts = {k: {"dtype": str(a.dtype), "shape": list(a.shape)} for k, a in outputs.items()}
        for key, array in outputs.items():
            facts[key]["values"] = array.reshape(-1)[:1000].tolist()
        click.echo(json_text({"function": name, "outputs": facts}))
        return
    rows = [(k, f"{a.dtype}{list(a.shape)}", beginning(a)) for k, a in outputs.items()]
    print_columns(f"{library.name}.{name}", ("output", "type", "values"), rows)


def read_array(path: Path) -> Array:
    """The array in a .npy file (memory-mapped: large ones cost nothing until they are used)."""
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except ValueError as error:
        raise FormatError(f"{path} is no .npy file of numbers: {error}") from None
    return array


def named_outputs(facts: Mapping[str, Any], result: object) -> dict[str, Array]:
    """The outputs of a call by name, whatever their structure."""
    leaves, _ = flatten(result)
    return {fact["name"]: np.asarray(v) for fact, v in zip(facts["outputs"], leaves)}


def beginning(array: Array) -> str:
    """The first elements, for people."""
    flat = array.reshape(-1)
    texts = [
        f"{v:.6g}" if array.dtype.kind == "f" else str(v) for v in flat[:SHOWN_ELEMENTS].tolist()
    ]
    return " ".join(texts) + (" ..." if flat.size > SHOWN_ELEMENTS else "")


def random_inputs(facts: Mapping[str, Any], dims: Mapping[str, int]) -> list[Array]:
    """Arrays for every input: floats in [-1, 1), integers 0."""
    rng, arrays = np.random.default_rng(0), []
    for fact in facts["inputs"]:
        shape, dtype = shape_of(fact["shape"], dims), numpy_dtype(fact["dtype"])
        values = rng.uniform(-1, 1, shape) if dtype.kind not in "iub" else np.zeros(shape)
        arrays.append(values.astype(dtype))
    return arrays

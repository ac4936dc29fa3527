"""`graphc dot` and `graphc inspect`: what is in a file."""

from __future__ import annotations

from pathlib import Path

import click

import graphc as gx
from graphc.cli.options import SourceOptions
from graphc.cli.show import bytes_text, print_columns, print_rows
from graphc.cli.subject import choose, functions_of, json_text, shapes_of, sizes
from graphc.errors import FormatError
from graphc.export.library_files import find_manifest, read_manifest
from graphc.runtime.function import CompiledFunction

Rows = list[tuple[str, str]]


def run_dot(source: Path, output: Path | None, stage: str, options: SourceOptions) -> None:
    """Print the graph of a file as DOT, or write it."""
    found = functions_of(source, sizes(options["dim"]), shapes_of(options["shape"]))
    _, function = choose(found, options["function"], source)
    text = function.dot(output, stage=stage)
    if output is None:
        click.echo(text)


def run_inspect(source: Path, as_json: bool, options: SourceOptions) -> None:
    """Say what a file holds: a model, a script, a library, weights."""
    if source.is_dir() or source.suffix == ".json":
        library(source, as_json)
    elif source.suffix == ".safetensors":
        weights(source, as_json)
    else:
        found = functions_of(source, sizes(options["dim"]), shapes_of(options["shape"]))
        facts = {name: function_facts(f) for name, f in found.items()}
        if as_json:
            click.echo(json_text(facts))
            return
        for name, function in found.items():
            print_rows(name, [(k, _short(v)) for k, v in facts[name].items()])
            click.echo(function.report())


def function_facts(function: CompiledFunction) -> dict[str, object]:
    """What is known of a compiled function without running it."""
    parameters = function.parameters.values()
    total = bytes_text(sum(p.memory.nbytes for p in parameters))
    facts: dict[str, object] = {
        "inputs": [f"{n.name} {n.type}" for n in function.graph.inputs],
        "outputs": [f"{name} {n.type}" for name, n in function.graph.outputs],
        "parameters": f"{len(parameters)} arrays, {total}",
        "nodes": len(function.graph.nodes),
        "mode": function.mode,
    }
    if function.target != "interpret":
        facts["kernels"] = len(function.program.schedule.calls)
        if not function.dims:
            facts |= {"flops": function.cost.flops, "arena bytes": function.memory.arena_bytes}
    return facts


def _short(value: object) -> str:
    return "\n".join(value) if isinstance(value, list) else f"{value}"


def library(source: Path, as_json: bool) -> None:
    """A bundle: its functions, memory, files."""
    path = find_manifest(source)
    manifest = read_manifest(path)
    if as_json:
        click.echo(json_text(manifest))
        return
    target, workspace = manifest["target"], manifest["workspace"]
    print_rows(manifest["name"], [
        ("target", f"{target['triple']} {target['cpu']} {target['isa']}"),
        ("workspace", bytes_text(workspace["bytes"])),
        ("arena", bytes_text(workspace["arena_bytes"])),
        ("code", bytes_text(manifest["sections"]["code"])),
        ("constants", bytes_text(manifest["sections"]["constants"])),
        ("parameters", f"{len(manifest['parameters'])} arrays, "
         + bytes_text(sum(p["bytes"] for p in manifest["parameters"]))),
        ("made by", f"graphc {manifest['graphc']}, llvmlite {manifest['llvmlite']}"),
    ])  # fmt: skip
    for function in manifest["functions"]:
        rows = [
            (a["name"], kind, f"{a['dtype']}{a['shape']}")
            for kind in ("inputs", "outputs")
            for a in function[kind]
        ]
        rows += [(d["name"], "dim", f"{d['min']} to {d['max']}") for d in function["dims"]]
        print_columns(f"{function['symbol']} ({function['mode']})", ("name", "is", "type"), rows)


def weights(source: Path, as_json: bool) -> None:
    """A file of parameters."""
    arrays = gx.load(source)
    facts = {n: {"dtype": str(a.dtype), "shape": list(a.shape)} for n, a in arrays.items()}
    if as_json:
        click.echo(json_text(facts))
        return
    if not arrays:
        raise FormatError(f"{source} holds no arrays")
    rows = [(n, f"{a.dtype}{list(a.shape)}", bytes_text(a.nbytes)) for n, a in arrays.items()]
    print_columns(str(source), ("parameter", "type", "bytes"), rows)

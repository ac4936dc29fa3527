"""A loader in JavaScript (NAME.mjs) and a page (NAME.html) for libraries of WebAssembly."""

from __future__ import annotations

import base64
import html
import json
from pathlib import Path

from graphc.export.interface import Argument, Entry, Interface
from graphc.export.selftest import Recording
from graphc.ir.dims import FloorDiv, MinSize, Size, evaluate
from graphc.ir.types import DType

_FOLDER = Path(__file__).parent
_ARRAYS = {"bool": "Uint8", "float16": "Uint16", "bfloat16": "Uint16", "int64": "BigInt64",
           "uint64": "BigUint64"}  # fmt: skip
SHOWN_STEPS = 200  # that the page makes when it is opened


def loader(interface: Interface, recording: Recording | None) -> str:
    """The text of NAME.mjs."""
    limits = recording.limits if recording else {}
    functions = ",\n".join(_function(e, limits.get(e, 1)) for e in interface.entries)
    text = (_FOLDER / "loader.mjs").read_text(encoding="utf-8")
    for word, value in {
        "NAME": interface.name,
        "PARAMETERS": ",\n".join(
            f"  {json.dumps(p.name)}: {{ array: {_array(p.dtype)}, length: {p.memory.size} }}"
            for p in interface.parameters
        ),
        "FUNCTIONS": functions,
        "SELFTEST": "true" if recording else "false",
    }.items():
        text = text.replace(f"/*{word}*/", value)
    return text


def page(interface: Interface, loader_text: str, image: bytes) -> str:
    """The text of NAME.html, which needs no other file."""
    text = (_FOLDER / "page.html").read_text(encoding="utf-8")
    code = loader_text.replace("export async function", "async function")
    for word, value in {
        "TITLE": html.escape(interface.name),
        "LOADER": code.replace("</", "<\\/"),
        "STEPS": str(SHOWN_STEPS),
        "IMAGE": base64.b64encode(image).decode(),
    }.items():
        text = text.replace(f"/*{word}*/", value)
    return text


def _function(entry: Entry, limit: int) -> str:
    dims = ", ".join(f"{json.dumps(d.name)}: [{d.min}, {d.max}]" for d in entry.dims)
    return f"""\
  {json.dumps(entry.name)}: {{
    symbol: "{entry.symbol}", trains: {"true" if entry.function.graph.updates else "false"},
    dims: {{ {dims} }}, limit: {limit},
    inputs: {{
{_arguments(entry, entry.inputs)}
    }},
    outputs: {{
{_arguments(entry, entry.outputs)}
    }},
  }}"""


def _arguments(entry: Entry, arguments: tuple[Argument, ...]) -> str:
    rows = []
    for a in arguments:
        shape = ", ".join(_size(entry, s) for s in a.type.shape)
        most = evaluate(a.type.nbytes, entry.maxima)
        rows.append(
            f"      {json.dumps(a.name)}: {{ array: {_array(a.type.dtype)},"
            f" shape: (d) => [{shape}], bytes: {most} }},"
        )
    return "\n".join(rows)


def _array(dtype: DType) -> str:
    """The class of typed arrays; 16-bit floats are their bits, bool is a byte."""
    return f"{_ARRAYS.get(dtype.name, dtype.name.title())}Array"


def _size(entry: Entry, size: Size) -> str:
    """A size as an expression of the dims in `d`."""
    if isinstance(size, int):
        return str(size)
    terms = []
    for monomial, coefficient in size.terms:
        factors = [str(coefficient)]
        for atom in monomial:
            if isinstance(atom, FloorDiv):
                upper, lower = _size(entry, atom.numerator), _size(entry, atom.denominator)
                factors.append(f"Math.floor(({upper}) / ({lower}))")
            elif isinstance(atom, MinSize):
                factors.append(f"Math.min({', '.join(_size(entry, s) for s in atom.sizes)})")
            elif atom.name in entry.fixed:
                factors.append(str(entry.fixed[atom.name]))
            else:
                factors.append(f"d[{json.dumps(atom.name)}]")
        terms.append(" * ".join(factors))
    return " + ".join(terms) or "0"

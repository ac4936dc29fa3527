"""The C header of a library."""

from __future__ import annotations

import re
import textwrap

from graphc.export.backend import BuiltLibrary
from graphc.export.interface import STATUSES, Argument, Entry, Interface, c_name
from graphc.ir.dims import Size
from graphc.ir.schedule import ALIGNMENT
from graphc.ir.types import DType

_TYPES = {"bool": "uint8_t", "float16": "uint16_t", "bfloat16": "uint16_t", "float32": "float",
          "float64": "double"}  # fmt: skip

_MEMORY = ("memcpy", "memmove", "memset")


def c_type(dtype: DType) -> str:
    """The C type of an element; bool is a byte 0 or 1, 16-bit floats are their bits."""
    return _TYPES.get(dtype.name, f"{dtype.name}_t")


def header(interface: Interface, built: BuiltLibrary, embedded: bool, selftest: bool) -> str:
    """The text of NAME.h; `built` is what the backend made."""
    name = interface.name
    lines = [
        *_opening(name, built),
        *_sizes(interface, built),
        *_statuses(interface),
        *_instances(name, built.workspace.total, embedded),
        *_parameters(interface),
    ]
    for entry in interface.entries:
        lines += ["", *_functions(entry, interface.threads)]
    if selftest:
        given = "void" if embedded else "const void *weights, size_t weights_bytes"
        lines += [
            "",
            "/* Run every function on recorded inputs, in a workspace of its own (static memory),",
            " * and compare. */",
            f"int32_t {name}_selftest({given});",
        ]
    lines += ["", "#ifdef __cplusplus", "}", "#endif", "#endif", ""]
    text = "\n".join(lines)
    return _imported(text, name) if built.target.object_format == "coff" else text


def _opening(name: str, built: BuiltLibrary) -> list[str]:
    """What a reader has to know, and what compilers do."""
    big = name.upper()
    return [
        f"/* {name}.h, made by graphc. Functions of this library allocate nothing, start no",
        " * threads and call nothing but memcpy, memmove and memset. All that they know is in a",
        " * workspace, memory that the caller gives: several workspaces are several instances.",
        " * One call at a time may run in a workspace.",
        *_helpers([s for s in built.needs if s not in _MEMORY]),
        " *",
        " * Arrays are dense, in C order. 16-bit floats are given as their bits, bool as a byte",
        " * that is 0 or 1. Every function that returns int32_t returns a status: 0 where all went",
        f" * well; {name}_status_text says what the others mean.",
        " */",
        f"#ifndef {big}_H",
        f"#define {big}_H",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        f"#define {big}_ASSERT static_assert",
        "#else",
        f"#define {big}_ASSERT _Static_assert",
        "#endif",
        "",
    ]


def _sizes(interface: Interface, built: BuiltLibrary) -> list[str]:
    """Bytes, threads, and how far dims go."""
    big = interface.name.upper()
    lines = [
        f"#define {big}_WORKSPACE_BYTES {built.workspace.total}",
        f"#define {big}_WORKSPACE_ALIGNMENT {ALIGNMENT}",
        f"#define {big}_STATE_BYTES {built.state_bytes}",
        f"#define {big}_MAX_THREADS {interface.threads}",
        "/* No call needs more stack than this, without what memcpy and its like need. */",
        f"#define {big}_STACK_BYTES {built.stack_bytes}",
    ]
    for entry in interface.entries:
        for dim in entry.dims:
            word = f"{entry.symbol}_{c_name(dim.name, ())}".upper()
            lines += [f"#define {word}_MIN {dim.min}", f"#define {word}_MAX {dim.max}"]
    return lines


def _statuses(interface: Interface) -> list[str]:
    """The statuses, and that the types are what the library takes them for."""
    big = interface.name.upper()
    lines = ["", "enum {"]
    for i, (word, text) in enumerate(STATUSES.items()):
        lines.append(f"  {big}_{word} = {i}, /* {text} */")
    lines += ["};", ""]
    used = {a.type.dtype for e in interface.entries for a in (*e.inputs, *e.outputs)}
    for dtype in sorted(used, key=lambda d: d.name):
        lines.append(f'{big}_ASSERT(sizeof({c_type(dtype)}) == {dtype.itemsize}, "{dtype.name}");')
    return lines


def _instances(name: str, workspace_bytes: int, embedded: bool) -> list[str]:
    """Functions that make, save and load a workspace."""
    weights = "" if embedded else ", const void *weights, size_t weights_bytes"
    told = [" */"] if embedded else [",", f" * which {name}.weights holds. */"]
    first = "/* Make a workspace ready, with the parameters as they were when the library was made"
    return [
        "",
        f"/* Bytes of a workspace ({workspace_bytes}): at a multiple of {ALIGNMENT}. */",
        f"size_t {name}_workspace_bytes(void);",
        "",
        first + told[0],
        *told[1:],
        f"int32_t {name}_init(void *workspace, size_t bytes{weights});",
        "",
        "/* What a status means. */",
        f"const char *{name}_status_text(int32_t status);",
        "",
        "/* Parameters and random streams as one piece of memory: write it, read it back. */",
        f"size_t {name}_state_bytes(void);",
        f"int32_t {name}_save(const void *workspace, void *saved, size_t bytes);",
        f"int32_t {name}_load(void *workspace, const void *saved, size_t bytes);",
    ]


def _parameters(interface: Interface) -> list[str]:
    """Functions that read and write one parameter."""
    name = interface.name
    lines = ["", "/* Copy a parameter out or in. Names, elements and bytes:"]
    for p in interface.parameters:
        kind = f"{c_type(p.dtype)}[{', '.join(map(str, p.memory.shape))}]"
        kind += " (read only)" if p in interface.frozen else ""
        lines.append(f" *   {in_comment(p.name)}: {kind}, {p.memory.nbytes} bytes")
    return [
        *lines,
        " */",
        f"int32_t {name}_get_parameter(const void *workspace, const char *name, void *value,",
        "    size_t bytes);",
        f"int32_t {name}_set_parameter(void *workspace, const char *name, const void *value,",
        "    size_t bytes);",
    ]


def _imported(text: str, name: str) -> str:
    """The header with every function marked as one that a DLL may have."""
    big = name.upper()
    mark = [
        f"/* Programs that use {name}.dll by its import library {name}.lib define {big}_DLL. */",
        f"#ifdef {big}_DLL",
        f"#define {big}_API __declspec(dllimport)",
        "#else",
        f"#define {big}_API",
        "#endif",
    ]
    text = re.sub(rf"^(?=\w[\w ]*[ *]{name}_\w+\()", f"{big}_API ", text, flags=re.MULTILINE)
    place = f"#define {big}_WORKSPACE_BYTES"
    return text.replace(place, "\n".join([*mark, "", place]), 1)


def _helpers(names: list[str]) -> list[str]:
    """What to say of other functions, which stand in for instructions that are missing."""
    if not names:
        return []
    text = "For this machine, LLVM also needs symbols of the compiler's own library or of the"
    text += f" system (libgcc, compiler-rt, the C library): {', '.join(names)}."
    return [" *", *(f" * {line}" for line in textwrap.wrap(text, 94))]


def _functions(entry: Entry, threads: int) -> list[str]:
    function, symbol = entry.function, entry.symbol
    verb = "One training step." if function.graph.updates else "Compute the outputs."
    lines = [f"/* {verb}"]
    for dim in entry.dims:
        lines.append(f" *   {c_name(dim.name, ())}: {dim.min} to {dim.max}")
    for argument in entry.inputs:
        lines.append(f" *   {argument.symbol}: {_described(entry, argument)}")
    for argument in entry.outputs:
        lines.append(f" *   {argument.symbol}: result, {_described(entry, argument)}")
    for code, text in entry.checks.items():
        lines.append(f" *   status {code}: {in_comment(text)}")
    if entry.checks:
        lines.append(" *   After a failed check the parameters are as they were.")
    lines.append(" */")
    arguments = ["void *workspace", *(f"int64_t {c_name(d.name, ())}" for d in entry.dims)]
    arguments += [f"const {c_type(a.type.dtype)} *{a.symbol}" for a in entry.inputs]
    arguments += [f"{c_type(a.type.dtype)} *{a.symbol}" for a in entry.outputs]
    lines += _prototype(f"int32_t {symbol}", arguments)
    lines += [
        "",
        f"/* The same by up to {threads} threads of the caller: bind the arguments once, then each",
        " * thread calls part with its number; it returns when all have done their share. */",
        *_prototype(f"int32_t {symbol}_bind", arguments),
        f"int32_t {symbol}_part(void *workspace, int32_t thread, int32_t threads);",
    ]
    if function.program.schedule.rng is not None:
        lines += [
            "",
            "/* The random stream: its seed, and the number of calls before. */",
            f"int32_t {symbol}_set_random(void *workspace, uint64_t seed, uint64_t step);",
            f"int32_t {symbol}_get_random(const void *workspace, uint64_t *seed, uint64_t *step);",
        ]
    return lines


def in_comment(text: str) -> str:
    """A text that does not end the comment around it."""
    return text.replace("*/", "* /").replace("/*", "/ *")


def _described(entry: Entry, argument: Argument) -> str:
    shape = ", ".join(str(entry.size(s)) for s in argument.type.shape)
    return f"{in_comment(argument.name)}, {argument.type.dtype.name}[{shape}]"


def _prototype(head: str, arguments: list[str]) -> list[str]:
    """A declaration, broken where it is long."""
    lines, line = [], f"{head}("
    for i, argument in enumerate(arguments):
        piece = argument + (");" if i == len(arguments) - 1 else ",")
        if len(line) + len(piece) > 96:
            lines.append(line.rstrip())
            line = "    "
        line += piece + " "
    return [*lines, line.rstrip()]


def shape_texts(entry: Entry, shape: tuple[Size, ...]) -> list[int | str]:
    """A shape as the manifest has it."""
    sizes = [entry.size(s) for s in shape]
    return [s if isinstance(s, int) else str(s) for s in sizes]

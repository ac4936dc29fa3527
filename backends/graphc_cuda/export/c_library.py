"""The C of a library for GPUs: NAME.h for those who call it, NAME.c with its tables."""

from __future__ import annotations

from collections.abc import Sequence

from graphc.export.interface import Argument, Entry, Interface
from graphc.ir.types import DType
from graphc_cuda.device_api import MachineCode
from graphc_cuda.export.layout import DeviceLayout, FunctionLayout, Value
from graphc_cuda.export.statuses import STATUSES
from graphc_cuda.export.tables import in_comment, plan_tables

_TYPES = {
    "bool": "uint8_t", "float16": "uint16_t", "bfloat16": "uint16_t", "float32": "float",
    "float64": "double",
}  # fmt: skip


def c_type(dtype: DType) -> str:
    """The C type of an element; bool is a byte 0 or 1, 16-bit floats are their bits."""
    return _TYPES.get(dtype.name, f"{dtype.name}_t")


# ------------------------------------------------------------------------- NAME.h


def header_text(interface: Interface, layout: DeviceLayout) -> str:
    """What callers include."""
    name = interface.name
    lines = [*_opening(name, layout), *_statuses(name), "", *_life(interface)]
    for f in layout.functions:
        lines += ["", *_declared(name, f)]
    lines += ["", "#ifdef __cplusplus", "}", "#endif", "#endif", ""]
    return "\n".join(lines)


def _opening(name: str, layout: DeviceLayout) -> list[str]:
    big = name.upper()
    return [
        f"/* {name}.h, made by graphc: functions on an NVIDIA GPU, through its driver alone.",
        " *",
        f" *     cc -std=c99 -c {name}.c     and link with -lcuda",
        " *",
        f" * {name}_init loads machine code, parameters and constants from a folder and makes a",
        " * CUDA graph of each function; calls copy inputs in, launch it, and copy outputs out.",
        " * One call at a time may use an instance; there may be several.",
        " *",
        " * Arrays are dense, in C order, in the memory of the host. 16-bit floats are given as",
        " * their bits, bool as a byte that is 0 or 1. Functions return a status: 0 where all went",
        " * well.",
        " */",
        f"#ifndef {big}_H",
        f"#define {big}_H",
        "",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "",
        "#ifdef __cplusplus",
        'extern "C" {',
        "#endif",
        "",
        f"#define {big}_DEVICE_BYTES {layout.device_bytes}",
        f"#define {big}_STATE_BYTES {layout.state_bytes}",
        "",
    ]


def _statuses(name: str) -> list[str]:
    rows = [f"    {name.upper()}_{w} = {i}, /* {t} */" for i, (w, t) in enumerate(STATUSES.items())]
    return ["enum {", *rows, "};"]


def _life(interface: Interface) -> list[str]:
    name = interface.name
    lines = [
        f"struct {name};",
        "",
        "/* Make an instance on a GPU, with the files of a folder. */",
        f"int32_t {name}_init(struct {name} **made, const char *folder, int32_t device);",
        f"void {name}_free(struct {name} *{name});",
        "",
        "/* What a status means, and the number (a CUresult) of what the driver refused last. */",
        f"const char *{name}_status_text(int32_t status);",
        f"int32_t {name}_driver_error(const struct {name} *{name});",
        "",
        "/* Parameters and random streams as one piece of memory: write it, read it back. */",
        f"size_t {name}_state_bytes(void);",
        f"int32_t {name}_save(struct {name} *{name}, void *saved, size_t bytes);",
        f"int32_t {name}_load(struct {name} *{name}, const void *saved, size_t bytes);",
        "",
        "/* Copy a parameter out or in. Names, elements and bytes:",
    ]
    for p in interface.parameters:
        kind = f"{c_type(p.dtype)}[{', '.join(map(str, p.memory.shape))}]"
        lines.append(f" *   {in_comment(p.name)}: {kind}, {p.memory.nbytes} bytes")
    return [
        *lines,
        " */",
        f"int32_t {name}_get_parameter(struct {name} *{name}, const char *parameter, void *value,",
        "    size_t bytes);",
        f"int32_t {name}_set_parameter(struct {name} *{name}, const char *parameter,",
        "    const void *value, size_t bytes);",
    ]


def _declared(name: str, f: FunctionLayout) -> list[str]:
    entry = f.entry
    verb = "One training step." if entry.function.graph.updates else "Compute the outputs."
    lines = [f"/* {verb}"]
    lines += [f" *   {a.symbol}: {_described(entry, a)}" for a in entry.inputs]
    lines += [f" *   {a.symbol}: result, {_described(entry, a)}" for a in entry.outputs]
    lines += [f" *   status {code}: {in_comment(text)}" for code, text in entry.checks.items()]
    if entry.checks:
        lines.append(" *   After a failed check the parameters are as they were.")
    lines += [" */", f"{_prototype(name, entry)};"]
    if f.random is not None:
        lines += [
            "",
            "/* The random stream: its seed, and the number of calls before. */",
            f"void {entry.symbol}_set_random(struct {name} *{name}, uint64_t seed, uint64_t step);",
            f"void {entry.symbol}_get_random(const struct {name} *{name}, uint64_t *seed,",
            "    uint64_t *step);",
        ]
    return lines


def _described(entry: Entry, argument: Argument) -> str:
    shape = ", ".join(str(entry.size(s)) for s in argument.type.shape)
    return f"{in_comment(argument.name)}, {argument.type.dtype.name}[{shape}]"


def _prototype(name: str, entry: Entry) -> str:
    """The head of a function, an argument a line."""
    own = _own_name(name, entry)
    arguments = [f"struct {name} *{own}"]
    arguments += [f"const {c_type(a.type.dtype)} *{a.symbol}" for a in entry.inputs]
    arguments += [f"{c_type(a.type.dtype)} *{a.symbol}" for a in entry.outputs]
    return f"int32_t {entry.symbol}(\n    " + ",\n    ".join(arguments) + ")"


def _own_name(name: str, entry: Entry) -> str:
    """What the instance is called beside the user's names."""
    taken = {a.symbol for a in (*entry.inputs, *entry.outputs)}
    while name in taken:
        name += "_"
    return name


# ------------------------------------------------------------------------- NAME.c


def source_text(interface: Interface, layout: DeviceLayout, codes: Sequence[MachineCode]) -> str:
    """The tables of all functions, and the functions."""
    name = interface.name
    parts = [
        f"/* {name}.c, made by graphc: launch lists and where everything is in device memory. */\n"
        f'#include "{name}.h"\n\n#include "host.h"',
        f"struct {name} {{\n    host_instance host;\n}};",
    ]
    for f, code in zip(layout.functions, codes):
        parts.append(f"/* ---- {in_comment(f.entry.name)} ---- */")
        parts.append(plan_tables(f.entry.symbol, f, code.entries, code.shared))
        parts += [_values(f.entry.symbol, "inputs", f.inputs)] if f.inputs else []
        parts += [_values(f.entry.symbol, "outputs", f.outputs)] if f.outputs else []
    texts = dict(enumerate(STATUSES.values()))
    for f in layout.functions:
        texts |= f.entry.checks
    cases = "\n".join(f'    case {i}: return "{_quoted(text)}";' for i, text in texts.items())
    parts += [_library(interface, layout)]
    parts += [_LIFE.replace("NAME", name).replace("STATUS_TEXTS", cases)]
    for i, f in enumerate(layout.functions):
        parts.append(_defined(name, i, f))
    return "\n\n".join(parts) + "\n"


def _values(name: str, word: str, values: Sequence[Value]) -> str:
    rows = ", ".join(f"{{{v.offset}, {v.bytes}}}" for v in values)
    return f"static const host_value {name}_{word}[] = {{{rows}}};"


def _library(interface: Interface, layout: DeviceLayout) -> str:
    """The tables of the whole library."""
    functions = "\n".join(f"    {_function_row(f)}" for f in layout.functions)
    parameters = "\n".join(
        f'    {{"{_quoted(p.name)}", {k.offset}, {k.bytes}, {k.stored}}},'
        for p, k in layout.parameters.items()
    )
    constants = "\n".join(
        f"    {{{k.offset}, {k.bytes}, {k.stored}}}," for k in layout.constants.values()
    )
    tables = [f"static const host_function functions[] = {{\n{functions}\n}};"]
    if parameters:
        tables.append(f"static const host_parameter parameters[] = {{\n{parameters}\n}};")
    if constants:
        tables.append(f"static const host_constant constants[] = {{\n{constants}\n}};")
    counts = len(layout.functions), len(layout.parameters), len(layout.constants)
    numbers = (
        layout.device_bytes, layout.state_bytes, layout.weights_bytes, layout.staging_bytes,
        interface.fingerprint,
    )  # fmt: skip
    tables.append(
        "static const host_library library = {\n"
        f'    "{interface.name}.weights", {", ".join(f"{n}u" for n in numbers)},\n'
        f"    functions, {'parameters' if parameters else 'NULL'},"
        f" {'constants' if constants else 'NULL'}, {', '.join(map(str, counts))}\n}};"
    )
    return "\n\n".join(tables)


def _function_row(f: FunctionLayout) -> str:
    name, entry = f.entry.symbol, f.entry
    inputs = f"{name}_inputs" if f.inputs else "NULL"
    outputs = f"{name}_outputs" if f.outputs else "NULL"
    status = -1 if f.status is None else f.status
    random = -1 if f.random is None else f.random
    updates = int(bool(entry.function.graph.updates))
    return (
        f'{{&{name}_plan, "{name}", {inputs}, {outputs}, {len(f.inputs)}, {len(f.outputs)},'
        f" {status}, {random}, {f.stream}, {entry.first_check}, {updates}}},"
    )


def _quoted(text: str) -> str:
    """A text between quotes in C."""
    return "".join(
        c if c.isascii() and c.isprintable() and c not in '"\\?' else _octal(c) for c in text
    )


def _octal(character: str) -> str:
    return "".join(f"\\{byte:03o}" for byte in character.encode())


_LIFE = """\
void NAME_free(struct NAME *NAME) {
    if (!NAME) return;
    host_close(&NAME->host);
    free(NAME);
}

int32_t NAME_init(struct NAME **made, const char *folder, int32_t device) {
    struct NAME *found;
    int32_t status;
    if (!made || !folder) return HOST_NULL;
    *made = NULL;
    found = calloc(1, sizeof *found);
    if (!found) return HOST_MEMORY;
    status = host_open(&found->host, &library, folder, device);
    if (status != HOST_OK) NAME_free(found);
    else *made = found;
    return status;
}

const char *NAME_status_text(int32_t status) {
    switch (status) {
STATUS_TEXTS
    default: return "unknown status";
    }
}

int32_t NAME_driver_error(const struct NAME *NAME) { return NAME ? NAME->host.error : 0; }

size_t NAME_state_bytes(void) { return library.state_bytes; }

int32_t NAME_save(struct NAME *NAME, void *saved, size_t bytes) {
    return NAME ? host_save(&NAME->host, saved, bytes) : HOST_NULL;
}

int32_t NAME_load(struct NAME *NAME, const void *saved, size_t bytes) {
    return NAME ? host_load(&NAME->host, saved, bytes) : HOST_NULL;
}

int32_t NAME_get_parameter(struct NAME *NAME, const char *parameter, void *value, size_t bytes) {
    if (!NAME || !value) return HOST_NULL;
    return host_parameter_copy(&NAME->host, parameter, value, NULL, bytes);
}

int32_t NAME_set_parameter(struct NAME *NAME, const char *parameter, const void *value,
                           size_t bytes) {
    if (!NAME || !value) return HOST_NULL;
    return host_parameter_copy(&NAME->host, parameter, NULL, value, bytes);
}"""


def _defined(name: str, number: int, f: FunctionLayout) -> str:
    """A function, and its random stream."""
    entry, own = f.entry, _own_name(name, f.entry)
    instance, seed = f"struct {name} *{name}", f"{name}->host.random[{number}]"
    lines = [f"{_prototype(name, entry)} {{"]
    for word, kind, arguments in (
        ("inputs", "const void *", entry.inputs), ("outputs", "void *", entry.outputs),
    ):  # fmt: skip
        values = ", ".join(a.symbol for a in arguments) or "NULL"
        lines.append(f"    {kind}const graphc_{word}[] = {{{values}}};")
    lines += [
        f"    if (!{own}) return HOST_NULL;",
        f"    return host_call(&{own}->host, {number}, graphc_inputs, graphc_outputs);",
        "}",
    ]
    if f.random is not None:
        lines += [
            "",
            f"void {entry.symbol}_set_random({instance}, uint64_t seed, uint64_t step) {{",
            f"    {seed}[0] = seed;",
            f"    {seed}[1] = step;",
            "}",
            "",
            f"void {entry.symbol}_get_random(const {instance}, uint64_t *seed, uint64_t *step) {{",
            f"    *seed = {seed}[0];",
            f"    *step = {seed}[1];",
            "}",
        ]
    return "\n".join(lines)

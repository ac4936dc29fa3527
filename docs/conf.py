"""The documentation as a site: `sphinx-build -W --keep-going -b html docs build/site`.

Nothing is read from the network, neither by the build nor by the pages.
"""

from __future__ import annotations

import builtins
import importlib
import inspect
import re
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "backends")]

import graphc  # noqa: E402

# The reference has every name as users write it, `gx.nn.relu`; nothing is imported twice.
sys.modules["gx"] = graphc
sys.modules |= {f"gx.{name}": getattr(graphc, name) for name in graphc._MODULES}

project = "graphc"
version = release = graphc.__version__
copyright = "the graphc authors"
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.autosummary"]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3
exclude_patterns = ["pictures"]
default_role = "py:obj"
add_module_names = True
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
ALIASES = (
    "ActivationLike Array Axes AxisLike DTypeLike Extent Index Initializer Nested Padding Schedule"
    " Shape Signal TensorLike"
)
autodoc_type_aliases = {name: name for name in ALIASES.split()}
autosummary_generate = False
python_use_unqualified_type_names = True
maximum_signature_line_length = 110
toc_object_entries_show_parents = "hide"
smartquotes = False

html_theme = "furo"
html_static_path, html_css_files = ["_static"], ["site.css"]
html_title = f"graphc {version}"
html_copy_source = html_show_sourcelink = html_show_sphinx = False
html_show_search_summary = False  # a page opened from a file cannot read other files
html_theme_options = {"navigation_with_keys": True, "top_of_page_buttons": []}
pygments_style, pygments_dark_style = "friendly", "github-dark"

CODE = re.compile(r"(`[^`]+`)")
API = re.compile(r"^```\{api\} *(\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
STEP = re.compile(r"step(?=\.\w)")
ANY = r"[~\w.]*Any"
WRITTEN = (  # types as they are written where they are too long
    (rf"[~\w.]*ndarray\[tuple\[{ANY}, \.\.\.\], [~\w.]*dtype\[{ANY}\]\]", "ndarray"),
    (
        rf"[~\w.]*Callable\[\[tuple\[int, \.\.\.\], {ANY}, [~\w.]*Generator\], ndarray\]",
        "Initializer",
    ),
    (r"TypeAliasForwardRef\('(\w+)'\)", r"\1"),
)
ERROR = re.compile(rf"\b({'|'.join(graphc.errors.__all__)})\b")
MENTION = re.compile(r"(?<![\w.`])(?:nn|optim|init|linalg|random)\.[a-zA-Z](?:\w|\\_)*")
MADE = "Tensor Parameter CompiledFunction History Bundle Library Variant Memory Cost Profile Model"
MADE_BY_GRAPHC = {*MADE.split(), "GradientReport", "Updates", "PreparedModel"}


def expand(app: Sphinx, name: str, source: list[str]) -> None:
    """Turn a block `{api} gx.nn` with names in it into a table and an entry for each name."""
    source[0] = API.sub(lambda match: entries(match[1], match[2]), source[0])


def entries(home: str, text: str) -> str:
    """The entries for names of a module; a line `Name: a b` is a class with members to show."""
    members: dict[str, str] = {}
    for line in text.splitlines():
        name, colon, shown = line.partition(":")
        members |= {name.strip(): shown} if colon else dict.fromkeys(line.split(), "")
    told = [n for n in members if callable(getattr(importlib.import_module(home), n))]
    table = ".. autosummary::\n   :nosignatures:\n\n" + "".join(f"   {n}\n" for n in told)
    parts = [f".. currentmodule:: {home}\n", f"{table}\n" if told else "\n"]
    parts += [entry(home, name, shown.split()) for name, shown in members.items()]
    return "```{eval-rst}\n" + "".join(parts) + "```"


def entry(home: str, name: str, members: list[str]) -> str:
    """The entry for one name: of a class, a function, or anything else with its value."""
    value = getattr(importlib.import_module(home), name)
    if isinstance(value, type):
        option = f"   :members: {', '.join(members)}\n" if members else ""
        return f".. autoclass:: {name}\n{option}\n"
    if callable(value):
        return f".. autofunction:: {name}\n\n"
    return f".. py:data:: {name}\n   :value: {value!r}\n\n"


def as_rst(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Docstrings are plain sentences with code in backticks, and indented programs."""
    own = arguments_of(value)
    program = False
    for number, line in enumerate(lines):
        if not line.startswith("    "):
            program = program and not line
            parts = CODE.split(line)
            parts[::2] = [plain(part) for part in parts[::2]]
            parts[1::2] = [part if names_api(part, own) else f"`{part}`" for part in parts[1::2]]
            lines[number] = "".join(parts)
        elif not program:
            lines[number - 1], program = "\n::\n", True
    lines[:] = "\n".join(lines).split("\n")


def as_written(
    app: Sphinx, what: str, name: str, value: Any, options: Any, arguments: str | None, result: str
) -> tuple[str | None, str | None]:
    """Signatures with the names of aliases, without how graphc makes what users are given."""
    if what == "class" and name.split(".")[-1] in MADE_BY_GRAPHC:
        return "", None
    return written(arguments), written(result)


def written(text: str | None) -> str | None:
    """A signature's text with short names of types."""
    for long, short in WRITTEN:
        text = text and re.sub(long, short, text)
    return text


def plain(text: str) -> str:
    """Escape what has a meaning in reStructuredText; link the errors and functions it names."""
    escaped = re.sub(r"([\\*|_])", r"\\\1", text)
    linked = ERROR.sub(r":py:obj:`~gx.errors.\1`", escaped)
    return MENTION.sub(lambda m: ":py:obj:`~gx.{}`".format(m[0].replace("\\", "")), linked)


def names_api(code: str, arguments: set[str]) -> bool:
    """Whether code in backticks may be the name of something in the reference."""
    return bool(re.fullmatch(r"`[A-Za-z][\w.]*`", code)) and code[1:-1] not in arguments


def arguments_of(value: Any) -> set[str]:
    """The names of the arguments of a function or a class."""
    try:
        return set(inspect.signature(value).parameters)
    except (TypeError, ValueError):
        return set()


class LinkCode(SphinxTransform):
    """Make `gx.name` and `step.name` in the pages links to the reference, and no other names."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        for link in list(self.document.findall(pending_xref)):
            if link["reftype"] == "class" and hasattr(builtins, link["reftarget"]):
                link.replace_self(
                    nodes.Text(link["reftarget"])
                )  # in annotations `bool` is Python's
        for literal in list(self.document.findall(nodes.literal)):
            text = literal.astext()
            found = re.match(r"(gx|step)(\.\w+)+", text)
            if not found or isinstance(literal.parent, pending_xref):
                continue
            target = STEP.sub("gx.CompiledFunction", found[0])
            link = pending_xref("", refdomain="py", reftype="obj", reftarget=target)
            link["refdoc"] = self.env.docname
            literal.replace_self(link)
            link += literal


def resolve(app: Sphinx, env: Any, node: pending_xref, text: nodes.Element) -> Any:
    """Find a class by its own name: `Recurrent`; the class of `tensor.py` as `gx.Tensor`."""
    last = node.get("reftarget", "").rpartition(".")[2]
    objects = env.domains["py"].objects
    found = [o for name, o in objects.items() if name.rpartition(".")[2] == last]
    if len(found) != 1 or found[0].objtype != "class":
        return None
    uri = app.builder.get_relative_uri(node["refdoc"], found[0].docname)
    return nodes.reference("", "", text, refuri=f"{uri}#{found[0].node_id}", internal=True)


def setup(app: Sphinx) -> dict[str, Any]:
    """Connect what is above."""
    app.connect("source-read", expand)
    app.connect("autodoc-process-docstring", as_rst)
    app.connect("autodoc-process-signature", as_written)
    app.connect("missing-reference", resolve)
    app.add_transform(LinkCode)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

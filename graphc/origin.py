"""Source locations: the user's line behind each node, and the part of the step it belongs to."""

from __future__ import annotations

import contextlib
import linecache
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from types import FrameType
from typing import Any

FORWARD, BACKWARD, UPDATE = PARTS = ("forward", "backward", "update")  # of a step

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_DEMO = os.path.join(_PACKAGE, "cli", "demo.py")  # a program such as users write
_DECORATORS = contextlib.__file__  # what is decorated by a context is called from there
# What calls us, or is called by users and calls us back, and is nobody's own program.
_TOOLS = frozenset([
    "IPython", "_pytest", "asyncio", "click", "concurrent", "functools", "graphc_cuda",
    "graphc_llvm", "ipykernel", "joblib", "nbclient", "pluggy", "pytest", "runpy", "scipy",
    "sklearn", "threading", "tornado", "traitlets", "unittest", "xdist",
])  # fmt: skip


@dataclass(frozen=True)
class Origin:
    """A line of the user's program, and the scope (of names, or the layer) that it ran in.

    `says` is what stands there where no text file can be read: the node of a model.
    """

    filename: str
    line: int
    scope: str = field(default="", compare=False)
    says: str = field(default="", compare=False)

    @property
    def text(self) -> str:
        """The source text of the line, stripped; empty when it cannot be read."""
        if self.says:
            return self.says
        return linecache.getline(self.filename, self.line).strip()

    def __str__(self) -> str:
        return f"{os.path.basename(self.filename)}:{self.line}"


@dataclass(frozen=True)
class NodeContext:
    """What new nodes inherit: an origin (None: look at the stack) and a part of the step.

    `scope` comes before new names, `place` is the scope that new origins get.
    """

    origin: Origin | None = None
    step_part: str = FORWARD
    scope: str = ""
    place: str = ""


_START = NodeContext()
_context: ContextVar[NodeContext] = ContextVar("graphc_context", default=_START)


def current() -> NodeContext:
    """The context that new nodes inherit now."""
    return _context.get()


def find_origin() -> Origin:
    """The innermost line of the user's on the stack; else the outermost line of all."""
    found = find_user()
    if found is not None:
        return found
    frame = sys._getframe(1)
    while frame.f_back is not None:
        frame = frame.f_back
    return Origin(frame.f_code.co_filename, frame.f_lineno)


def find_user() -> Origin | None:
    """The innermost line of the user's on the stack, if there is one."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        if is_user(frame):
            return Origin(frame.f_code.co_filename, frame.f_lineno, _context.get().place)
        frame = frame.f_back
    return None


def is_user(frame: FrameType) -> bool:
    """Whether a frame runs a program of the user's: not this package, nor a tool that runs it."""
    filename = frame.f_code.co_filename
    if filename.startswith(_PACKAGE):
        return filename == _DEMO
    if filename == _DECORATORS:
        return False
    return str(frame.f_globals.get("__name__")).partition(".")[0] not in _TOOLS


@contextmanager
def inherit(origin: Origin | None = None, step_part: str | None = None) -> Iterator[None]:
    """Give nodes built inside the block this origin and part of the step."""
    old = _context.get()
    new = NodeContext(origin or old.origin, step_part or old.step_part, old.scope, old.place)
    token = _context.set(new)
    try:
        yield
    finally:
        _context.reset(token)


_random_nodes: ContextVar[list[object] | None] = ContextVar("graphc_drawn", default=None)


@contextmanager
def collecting_random() -> Iterator[list[Any]]:
    """Collect the random-bit nodes created inside the block (see `note_random`)."""
    outer = _random_nodes.get()
    nodes: list[Any] = []
    token = _random_nodes.set(nodes)
    try:
        yield nodes
    finally:
        _random_nodes.reset(token)
        if outer is not None:
            outer.extend(nodes)


_new_nodes: ContextVar[list[Any] | None] = ContextVar("graphc_made", default=None)


@contextmanager
def collecting_nodes() -> Iterator[list[Any]]:
    """Collect every node created inside the block (see `note_created`)."""
    outer = _new_nodes.get()
    nodes: list[Any] = []
    token = _new_nodes.set(nodes)
    try:
        yield nodes
    finally:
        _new_nodes.reset(token)
        if outer is not None:
            outer.extend(nodes)


def note_created(node: object) -> None:
    """Record a new node with the branch being traced or the pass that is running."""
    nodes = _new_nodes.get()
    if nodes is not None:
        nodes.append(node)


def note_random(node: object) -> None:
    """Record a random draw with the loop whose body is being traced, if there is one."""
    nodes = _random_nodes.get()
    if nodes is not None:
        nodes.append(node)


@contextmanager
def name_scope(name: str) -> Iterator[str]:
    """Prefix the names made inside the block with `name/`; yields the whole prefix."""
    old = _context.get()
    scope = f"{old.scope}{name}/"
    with in_scope(scope[:-1]):
        token = _context.set(replace(_context.get(), scope=scope))
        try:
            yield scope
        finally:
            _context.reset(token)


@contextmanager
def in_scope(place: str) -> Iterator[None]:
    """Give nodes built inside the block this scope, also those that inherit their line."""
    old = _context.get()
    origin = old.origin and replace(old.origin, scope=place)
    token = _context.set(NodeContext(origin, old.step_part, old.scope, place))
    try:
        yield
    finally:
        _context.reset(token)


@contextmanager
def root_scope() -> Iterator[None]:
    """Take the names made inside the block as they are, without the scope around it."""
    old = _context.get()
    token = _context.set(replace(old, scope=""))
    try:
        yield
    finally:
        _context.reset(token)

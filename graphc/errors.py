"""The exceptions that graphc raises.

GraphcError                    the user's mistakes and bad content
├── ShapeError   (ValueError)
├── DTypeError   (TypeError)
├── AxisError    (ValueError, IndexError)
├── NameError    (ValueError)
├── GradientError (ValueError)
├── ArgumentError (TypeError, ValueError)
├── UnsupportedError (NotImplementedError)
├── RuntimeCheckError (ValueError)   a value out of range while running; nothing was updated
├── MemoryBudgetError (MemoryError)
├── FormatError  (ValueError)        a file whose content is wrong
└── BackendError (RuntimeError)
VerifyError      (AssertionError)    a mistake of ours; never the user's
"""

from __future__ import annotations

import builtins
from typing import Any

from graphc.origin import Origin, find_user

__all__ = [
    "ArgumentError", "AxisError", "BackendError", "DTypeError", "FormatError", "GradientError",
    "GraphcError", "MemoryBudgetError", "NameError", "RuntimeCheckError", "ShapeError",
    "UnsupportedError", "VerifyError",
]  # fmt: skip


class GraphcError(Exception):
    """A mistake that the user can mend: says what, where and, when known, how."""

    def __init__(
        self,
        message: str,
        *,
        operands: tuple[tuple[str, str, Origin | None], ...] = (),
        origin: Origin | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.operands = operands  # (role, "name type", where the user made it)
        self.origin = origin
        self.hint = hint
        self._raised = find_user()  # what is shown where nothing is known that is nearer

    def __str__(self) -> str:
        rows = [(role, text, str(origin or "")) for role, text, origin in self.operands]
        place = self.origin or self._raised
        if place is not None:
            rows.append(("at", place.text or "", str(place)))
        if self.hint:
            rows.append(("hint", self.hint, ""))
        width = max((len(role) for role, _, _ in rows), default=0) + 3
        middle = max((len(text) for _, text, where in rows if where), default=0) + 2
        lines = [self.message]
        for role, text, where in rows:
            lines.append(f"  {role:<{width}}{text:<{middle}}{where}".rstrip())
        return "\n".join(lines)


class ShapeError(GraphcError, ValueError):
    """Shapes that do not fit each other."""


class DTypeError(GraphcError, TypeError):
    """Element types that an operation does not take."""


class AxisError(GraphcError, ValueError, IndexError):
    """An axis that a tensor does not have."""


class NameError(GraphcError, ValueError):
    """A name that is missing, unknown or taken."""


class GradientError(GraphcError, ValueError):
    """A derivative that does not exist."""


class ArgumentError(GraphcError, TypeError, ValueError):
    """An argument of the wrong kind or value."""


class UnsupportedError(GraphcError, NotImplementedError):
    """Something that a backend or target cannot do."""


class RuntimeCheckError(GraphcError, ValueError):
    """A value out of range, found while a compiled function ran; nothing was updated."""

    asks = False  # whether the message would be better with the values that were found
    node: Any = None  # what failed, where that is known
    step: int | None = None  # of the steps of an epoch, which one failed


class MemoryBudgetError(GraphcError, MemoryError):
    """More memory than there is, or than was allowed."""


class FormatError(GraphcError, ValueError):
    """A file whose content is not what it should be."""


class BackendError(GraphcError, RuntimeError):
    """A backend that cannot be loaded or used here."""


class VerifyError(builtins.AssertionError):
    """The compiler broke one of its own rules."""

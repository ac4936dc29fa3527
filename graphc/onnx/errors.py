"""Values that must be known while a model is loaded, and are not."""

from __future__ import annotations

import re
from collections.abc import Iterable

from graphc.errors import UnsupportedError
from graphc.ir.dims import Size, dims_of

EXAMPLE_SIZE = 4  # a size in hints


class UnknownValueError(UnsupportedError):
    """A node needs a value while the model is loaded that depends on inputs or on their sizes.

    `inputs` are the inputs to bind by value, `dims` the names of the sizes that are missing.
    """

    def __init__(
        self, message: str, inputs: Iterable[str] = (), sizes: Iterable[Size] = ()
    ) -> None:
        self.inputs = tuple(inputs)
        self.dims = tuple(dict.fromkeys(d.name for s in sizes for d in dims_of(s)))
        listed = ", ".join(f'"{name}": array' for name in self.inputs)
        hint = f"bind what it depends on: gx.onnx.load(..., values={{{listed}}})"
        if not self.inputs:
            listed = ", ".join(f'"{name}": {EXAMPLE_SIZE}' for name in self.dims)
            what = "sizes" if len(self.dims) > 1 else "size"
            hint = f"give the {what}: gx.onnx.load(..., dims={{{listed}}})"
        super().__init__(message, hint=hint)


def named(text: str, sizes: Iterable[Size]) -> tuple[Size, ...]:
    """The dims of sizes that a message names."""
    found = dict.fromkeys(d for s in sizes for d in dims_of(s))
    return tuple(d for d in found if re.search(rf"(?<!\w){re.escape(d.name)}(?!\w)", text))

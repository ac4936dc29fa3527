"""Values that must be known while a model is loaded, and are not."""

from __future__ import annotations

from graphc.errors import UnsupportedError


class UnknownValueError(UnsupportedError):
    """A node needs a value while the model is loaded that depends on inputs or on their sizes.

    `inputs` are the inputs to bind by value; `sizes` says whether sizes of inputs are missing.
    """

    def __init__(self, message: str, inputs: tuple[str, ...], sizes: bool) -> None:
        if inputs:
            listed = ", ".join(f'"{name}": array' for name in inputs)
            hint = f"bind what it depends on: gx.onnx.load(..., values={{{listed}}})"
        else:
            hint = 'give the sizes: gx.onnx.load(..., shapes={"x": (1, 3, 224, 224)})'
        super().__init__(message, hint=hint)
        self.inputs = inputs
        self.sizes = sizes

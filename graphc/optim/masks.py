"""Choices of parameters: by a function, by a pattern of names, or one by one."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend.arguments import tensors
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor

Mask = Callable[[Parameter], bool] | Iterable[Parameter] | str


def chosen_by(owner: str, word: str, mask: Mask | None) -> Callable[[Parameter], bool]:
    """Whether a parameter is meant: by a function of it, a pattern of its name such as
    "*/kernel", or a collection of parameters; None means all.
    """
    if mask is None:
        return lambda parameter: True
    if isinstance(mask, str):
        pattern = mask
        return lambda parameter: fnmatch.fnmatchcase(parameter.name, pattern)
    if isinstance(mask, (list, tuple, set)) and any(isinstance(m, str) for m in mask):
        raise ArgumentError(
            f"{owner}: {word} must hold parameters, got names",
            origin=origins.find_origin(),
            hint='one pattern of names is a text by itself: "*/kernel"',
        )
    if callable(mask) and not isinstance(mask, Tensor):
        return mask
    members = tensors(owner, word, mask)
    return lambda parameter: any(parameter is member for member in members)

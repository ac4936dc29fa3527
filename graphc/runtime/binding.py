"""Match the arguments of a call to the declared inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from graphc import origin as origins
from graphc.errors import ArgumentError, GraphcError, NameError
from graphc.ir.arrays import convert, label
from graphc.ir.graph import Node
from graphc.ir.sizes import bind_dims
from graphc.ir.types import Array


@dataclass(frozen=True)
class Binding:
    """What a function takes: its name, its input nodes in order, and how dtypes may differ."""

    function: str
    inputs: tuple[Node, ...]
    cast: str = "same_kind"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs in order."""
        return tuple(label(n) for n in self.inputs)

    def bind(
        self, args: Sequence[object], kwargs: Mapping[str, object]
    ) -> tuple[list[Array], dict[str, int]]:
        """Arrays of the declared types in order, and the values of the dims."""
        values = self.match(args, kwargs)
        arrays = [convert(self.function, n, v, self.cast) for n, v in zip(self.inputs, values)]
        return arrays, bind_dims(self.function, self.inputs, [a.shape for a in arrays])

    def match(self, args: Sequence[object], kwargs: Mapping[str, object]) -> list[object]:
        """One value for every input, in order."""
        names = self.names
        if len(args) == len(names) and not kwargs:
            return list(args)
        if len(args) > len(names):
            self._fail(f"takes {len(names)} inputs, got {len(args)}")
        given = dict(zip(names, args))
        for name, value in kwargs.items():
            if name not in names:
                near = get_close_matches(name, names, 1)
                hint = f"did you mean {near[0]}?" if near else None
                self._fail(f"has no input {name}", NameError, hint)
            if name in given:
                self._fail(f"input {name} is given twice", NameError)
            given[name] = value
        missing = [name for name in names if name not in given]
        if missing:
            words = ("input", "is") if len(missing) == 1 else ("inputs", "are")
            self._fail(f"{words[0]} {', '.join(missing)} {words[1]} missing", NameError)
        return [given[name] for name in names]

    def _fail(
        self, text: str, error: type[GraphcError] = ArgumentError, hint: str | None = None
    ) -> None:
        listing = tuple(("input", f"{label(n)} {n.type}", n.origin) for n in self.inputs)
        raise error(
            f"{self.function}: {text}", operands=listing, origin=origins.find_origin(), hint=hint
        )


# --------------------------------------------------------------------------- one value


# ------------------------------------------------------------------------------- sizes

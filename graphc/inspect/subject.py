"""What can be inspected: compiled functions and programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, Union

from graphc.ir.dims import nominal

if TYPE_CHECKING:
    from graphc.compiler.program import Program
    from graphc.runtime.backend import Launch, Runner
    from graphc.runtime.variants import Variant


class InspectedFunction(Protocol):
    """A compiled function, as far as it is looked at here."""

    @property
    def program(self) -> Program:
        """Every stage of the compiler."""

    @property
    def variants(self) -> Sequence[Variant]:
        """What has been compiled for which sizes."""


Subject = Union[InspectedFunction, "Program"]


def program_of(subject: Subject) -> Program:
    """The program of a function, or the program itself."""
    found: Any = getattr(subject, "program", subject)
    program: Program = found
    return program


def runners_of(subject: Subject) -> list[Runner]:
    """The code of a function that was made for given sizes; none of a program."""
    variants: Sequence[Variant] = getattr(subject, "variants", ())
    return [v.runner for v in variants if v.runner is not None]


def sizes_of(subject: Subject) -> dict[str, int]:
    """The sizes that figures are given for: the first compiled, else the largest or typical."""
    for variant in getattr(subject, "variants", ()):
        if variant.dims is not None:
            return dict(variant.dims)
    program = program_of(subject)
    return {d.name: nominal(d) for s in program.schedule.inputs for d in s.type.dims()}


def threads_of(subject: Subject) -> int | None:
    """How many threads run it: what a variant was made for, else what was asked for."""
    settled = (runner.threads for runner in runners_of(subject))
    return next((n for n in settled if n is not None), program_of(subject).options.threads)


def launches_of(subject: Subject) -> Sequence[Launch]:
    """What a GPU launches for the first sizes."""
    return next((r.launches() for r in runners_of(subject)), ())

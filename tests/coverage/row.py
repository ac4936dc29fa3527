"""One promise: what graphc can express, run or show, and what proves it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A promise, the shortest check that proves it, and the proofs.

    A proof is `tests/path.py::test_name`, with `[word]` for the case whose id has that word,
    `examples/path.py`, or a public name `gx.name`. Names alone prove nothing: they say where the
    thing is.
    """

    id: str
    text: str
    accept: str
    proofs: tuple[str, ...] = ()
    missing: str = ""  # what is not there, in words

    @property
    def proven(self) -> bool:
        """Whether a test or an example stands for it, and nothing is missing."""
        return not self.missing and any(not p.startswith("gx.") for p in self.proofs)

"""The base of the callbacks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from graphc.train.run import Run


class Callback:
    """Base of the callbacks; `run` has the step, the history and `stop(note)`.

    `state` and `set_state` are what a `Checkpoint` of the run keeps and a resumed run gets
    back: a dict of numbers, texts, lists, dicts (as in JSON) and arrays.
    """

    def begin(self, run: Run) -> None:
        """Before the first epoch."""

    def slice_end(self, run: Run, logs: dict[str, float]) -> None:
        """After some steps of an epoch, with the means so far."""

    def epoch_end(self, run: Run, logs: dict[str, float]) -> None:
        """After an epoch and its validation, with what the history just got."""

    def epoch_done(self, run: Run) -> None:
        """After `epoch_end` of all callbacks: the time to write down what they know."""

    def end(self, run: Run) -> None:
        """After the last epoch, also when the run was interrupted."""

    @property
    def key(self) -> str:
        """What tells it from other callbacks of a run, the same in the resumed one."""
        return type(self).__name__

    def state(self) -> dict[str, Any]:
        """What a resumed run needs to know."""
        return {}

    def set_state(self, run: Run, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken; called after `begin` where a run is resumed."""

    def resumed(self, run: Run) -> None:
        """After `set_state` of all callbacks."""

"""What has to forget its threads when the process is forked."""

from __future__ import annotations

import os
import weakref
from functools import cache
from typing import Protocol


class Forked(Protocol):
    """Something whose locks and threads belong to one process."""

    def forget(self) -> None:
        """Be as if no other thread had ever used this."""


def forget_after_fork(what: Forked) -> None:
    """Call ``what.forget()`` in every child forked from now on, while it lives."""
    _known().add(what)


@cache
def _known() -> weakref.WeakSet[Forked]:
    known: weakref.WeakSet[Forked] = weakref.WeakSet()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_forget_all)
    return known


def _forget_all() -> None:
    for what in list(_known()):
        what.forget()

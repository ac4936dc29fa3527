"""Time of every compiler stage."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Times(dict[str, float]):
    """Seconds by stage, in the order in which the stages first ran."""

    @contextmanager
    def of(self, stage: str) -> Iterator[None]:
        """Add the time of the block to a stage."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self[stage] = self.get(stage, 0.0) + time.perf_counter() - start

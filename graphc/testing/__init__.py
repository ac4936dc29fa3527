"""What tests of graphc and of programs made with it use: comparisons, checks of ops, graphs.

Needs numpy only.
"""

from __future__ import annotations

from graphc.testing.close import assert_close
from graphc.testing.graphs import random_graph
from graphc.testing.op import check_op

__all__ = ("assert_close", "check_op", "random_graph")

"""Check random graphs by hand: `python -m tests.random_graphs --count 10000 --seed 1`."""

from __future__ import annotations

import sys

from tests.random_graphs.run import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

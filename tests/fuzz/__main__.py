"""Random programs by hand: `python -m tests.fuzz NAME --count 1000 --seed 1`.

A net is a module `tests/fuzz/NAME.py` with a function `check(seed)`: it draws one program, compares
it with an independent answer, raises (AssertionError with the facts) where they disagree, and
returns a word for what it did ("agrees", "refused", ...), which is counted. One seed always draws
one program. The default tests run some fixed seeds of every net (`tests/fuzz/test_NAME_net.py`).
"""

from __future__ import annotations

import argparse
import importlib
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

HERE = Path(__file__).parent


def names() -> list[str]:
    """The nets that there are."""
    files = sorted(HERE.glob("*.py"))
    return [f.stem for f in files if "def check(" in f.read_text(encoding="utf-8")]


def main(arguments: list[str]) -> int:
    """Run some seeds of one net; 1 if any of them disagrees."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("name", choices=[n for n in names() if n != "__main__"])
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1, help="the first seed")
    chosen = parser.parse_args(arguments)
    net = importlib.import_module(f"tests.fuzz.{chosen.name}")
    counts: Counter[str] = Counter()
    start = time.perf_counter()
    for seed in range(chosen.seed, chosen.seed + chosen.count):
        try:
            counts[net.check(seed)] += 1
        except KeyboardInterrupt:
            break
        except Exception as error:
            counts["REPORTS"] += 1
            lines = traceback.format_exc(limit=-3) if not isinstance(error, AssertionError) else ""
            sys.stdout.write(f"seed {seed}: {type(error).__name__}: {error}\n{lines}")
            sys.stdout.flush()
    found = ", ".join(f"{count} {word}" for word, count in sorted(counts.items()))
    sys.stdout.write(f"{chosen.name}: {found} in {time.perf_counter() - start:.0f} s\n")
    return 1 if counts["REPORTS"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Data sets: one that ships with the package, and readers of files that the user has."""

from graphc.data.digits import digits
from graphc.data.idx import fashion_mnist, idx
from graphc.data.split import split

__all__ = ["digits", "fashion_mnist", "idx", "split"]

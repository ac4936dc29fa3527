"""Train compiled steps: epochs, validation, callbacks, files."""

from graphc.train.fit import fit
from graphc.train.history import History

__all__ = ["History", "fit"]

"""Train compiled steps: epochs, validation, callbacks, files."""

from graphc.train.evaluation import Evaluation, evaluate, predict
from graphc.train.fit import fit
from graphc.train.history import History

__all__ = ["Evaluation", "History", "evaluate", "fit", "predict"]

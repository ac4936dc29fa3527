"""Optimisers: rules that turn gradients into new parameter values."""

from graphc.frontend.arguments import check_all
from graphc.optim.adaptive import Adadelta, Adagrad, RMSprop
from graphc.optim.base import Optimizer, Updates
from graphc.optim.moments import Adam, Adamax, AdamW, Nadam
from graphc.optim.sgd import SGD

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "Updates",
]

check_all(globals(), __all__)

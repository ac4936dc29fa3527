"""Optimisers: rules that turn gradients into new parameter values."""

from graphc.frontend.arguments import check_all
from graphc.optim.adaptive import Adadelta, Adagrad, RMSprop, Rprop
from graphc.optim.base import Optimizer
from graphc.optim.compose import (
    accumulate,
    chain,
    clip_by_global_norm,
    clip_by_norm,
    clip_by_value,
    groups,
    momentum,
    scale,
    weight_decay,
)
from graphc.optim.layerwise import LAMB, Adafactor, Lion, Muon
from graphc.optim.moments import Adam, Adamax, AdamW, Nadam
from graphc.optim.proximal import ProximalL1
from graphc.optim.quasi_newton import BFGS, LBFGS, Newton
from graphc.optim.schedule_free import ScheduleFree
from graphc.optim.sgd import SGD
from graphc.optim.transform import Transform
from graphc.optim.updates import Updates

__all__ = [
    "BFGS",
    "LAMB",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Muon",
    "Nadam",
    "Newton",
    "Optimizer",
    "ProximalL1",
    "RMSprop",
    "Rprop",
    "ScheduleFree",
    "Transform",
    "Updates",
    "accumulate",
    "chain",
    "clip_by_global_norm",
    "clip_by_norm",
    "clip_by_value",
    "groups",
    "momentum",
    "scale",
    "weight_decay",
]

check_all(globals(), __all__)

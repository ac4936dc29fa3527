"""graphc: a graph compiler for training steps.

    import graphc as gx

Everything public is an attribute of this package and is imported when first used, so that
`import graphc` costs nothing. The array functions (`gx.exp`, `gx.sum`, ...) are those of
`graphc.frontend.functions`; `_HOMES` says where the other names live.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    # define
    "dim": "frontend.symbols",
    "input": "frontend.symbols",
    "parameter": "frontend.symbols",
    "constant": "frontend.symbols",
    "seed": "frontend.seed",
    "precision": "ir.precision",
    "name_scope": "origin",
    "Tensor": "frontend.tensor",
    "Parameter": "frontend.parameter",
    "Dim": "ir.dims",
    # differentiate
    "grad": "frontend.autodiff",
    "vjp": "frontend.autodiff",
    "jvp": "frontend.autodiff",
    "hvp": "frontend.autodiff",
    "jacobian": "frontend.autodiff",
    "hessian": "frontend.autodiff",
    "vmap": "frontend.autodiff",
    "check_gradients": "frontend.autodiff",
    "custom_gradient": "frontend.autodiff",
    "substitute": "frontend.substitute",
    "compensated_sum": "frontend.compensated",
    # control flow
    "cond": "frontend.functions.control",
    "scan": "frontend.functions.control",
    "while_loop": "frontend.functions.control",
    # compile and run
    "compile": "runtime.function",
    "CompiledFunction": "runtime.function",
    # inspect
    "diff_graphs": "inspect",
    "dot": "inspect",
    "explain": "inspect",
    "explain_grad": "inspect",
    "summary": "inspect",
    # train
    "average_checkpoints": "train.averaging",
    "ema": "optim.average",
    "ensemble": "nn.ensemble",
    "fit": "train",
    "lr_find": "train.rate_finder",
    "RateSweep": "train.rate_finder",
    "evaluate": "train",
    "predict": "train",
    "History": "train",
    "Evaluation": "train",
    "save": "train.files",
    "taps": "train.taps",
    "load_library": "export.load",
    "load": "train.files",
}

_MODULES = (
    "autodiff", "callbacks", "constraints", "data", "decode", "errors", "fft", "init", "inspect",
    "linalg", "metrics", "models", "nn", "onnx",
    "optim", "plot", "random", "regularizers", "schedules", "sklearn", "testing",
)  # fmt: skip

_ELSEWHERE = {  # public modules that stand in a room
    "autodiff": "frontend.autodiff",
    "callbacks": "train.callbacks",
    "functions": "frontend.functions",
}

_DTYPES = (
    "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "float16", "bfloat16", "float32", "float64",
)  # fmt: skip

_NUMBERS = ("e", "inf", "nan", "newaxis", "pi")


if not TYPE_CHECKING:  # so that type checkers know which names there are

    def __getattr__(name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(f"module 'graphc' has no attribute {name!r}")
        value = _find(name)
        globals()[name] = value
        return value


def _find(name: str) -> Any:
    if name in _HOMES:
        value = getattr(importlib.import_module(f"graphc.{_HOMES[name]}"), name)
        if isinstance(value, type) or name == "load_library":  # which needs nothing but numpy
            return value
        return importlib.import_module("graphc.frontend.arguments").checked(value, home="graphc")
    if name in _MODULES or name in _ELSEWHERE:
        return importlib.import_module(f"graphc.{_ELSEWHERE.get(name, name)}")
    if name in _DTYPES or name == "bool":
        return getattr(
            importlib.import_module("graphc.ir.types"), "bool_" if name == "bool" else name
        )
    if name in _NUMBERS:
        return getattr(importlib.import_module("numpy"), name)
    if importlib.util.find_spec(f"graphc.{name}") is not None:
        # `from graphc import graph` asks here first; functions need these modules themselves
        return importlib.import_module(f"graphc.{name}")
    functions = importlib.import_module("graphc.frontend.functions")
    if name in functions.__all__:
        return getattr(functions, name)
    raise importlib.import_module("graphc.elsewhere").missing("graphc", name, __dir__())


def __dir__() -> list[str]:
    functions = importlib.import_module("graphc.frontend.functions")
    names = {*_HOMES, *_MODULES, *_DTYPES, *_NUMBERS, "bool", *functions.__all__}
    return sorted(
        names | {name for name in globals() if not name.startswith("_")} | {"__version__"}
    )


if TYPE_CHECKING:
    from numpy import e as e
    from numpy import inf as inf
    from numpy import nan as nan
    from numpy import newaxis as newaxis
    from numpy import pi as pi

    from graphc import constraints as constraints
    from graphc import data as data
    from graphc import decode as decode
    from graphc import errors as errors
    from graphc import fft as fft
    from graphc import init as init
    from graphc import linalg as linalg
    from graphc import metrics as metrics
    from graphc import models as models
    from graphc import nn as nn
    from graphc import onnx as onnx
    from graphc import optim as optim
    from graphc import plot as plot
    from graphc import random as random
    from graphc import regularizers as regularizers
    from graphc import schedules as schedules
    from graphc import sklearn as sklearn
    from graphc import testing as testing
    from graphc.export.load import load_library as load_library
    from graphc.frontend import autodiff as autodiff
    from graphc.frontend.autodiff import *  # noqa: F403
    from graphc.frontend.compensated import compensated_sum as compensated_sum
    from graphc.frontend.functions import *  # noqa: F403
    from graphc.frontend.functions.control import cond as cond
    from graphc.frontend.functions.control import scan as scan
    from graphc.frontend.functions.control import while_loop as while_loop
    from graphc.frontend.parameter import Parameter as Parameter
    from graphc.frontend.seed import seed as seed
    from graphc.frontend.substitute import substitute as substitute
    from graphc.frontend.symbols import constant as constant
    from graphc.frontend.symbols import dim as dim
    from graphc.frontend.symbols import input as input
    from graphc.frontend.symbols import parameter as parameter
    from graphc.frontend.tensor import Tensor as Tensor
    from graphc.inspect import diff_graphs as diff_graphs
    from graphc.inspect import dot as dot
    from graphc.inspect import explain as explain
    from graphc.inspect import explain_grad as explain_grad
    from graphc.inspect import summary as summary
    from graphc.ir.dims import Dim as Dim
    from graphc.ir.precision import precision as precision
    from graphc.ir.types import bfloat16 as bfloat16
    from graphc.ir.types import bool_ as bool  # noqa: F401
    from graphc.ir.types import float16 as float16
    from graphc.ir.types import float32 as float32
    from graphc.ir.types import float64 as float64
    from graphc.ir.types import int8 as int8
    from graphc.ir.types import int16 as int16
    from graphc.ir.types import int32 as int32
    from graphc.ir.types import int64 as int64
    from graphc.ir.types import uint8 as uint8
    from graphc.ir.types import uint16 as uint16
    from graphc.ir.types import uint32 as uint32
    from graphc.ir.types import uint64 as uint64
    from graphc.nn.ensemble import ensemble as ensemble
    from graphc.optim.average import ema as ema
    from graphc.origin import name_scope as name_scope
    from graphc.runtime.function import CompiledFunction as CompiledFunction
    from graphc.runtime.function import compile as compile
    from graphc.train import Evaluation as Evaluation
    from graphc.train import History as History
    from graphc.train import callbacks as callbacks
    from graphc.train import evaluate as evaluate
    from graphc.train import fit as fit
    from graphc.train import predict as predict
    from graphc.train.averaging import average_checkpoints as average_checkpoints
    from graphc.train.files import load as load
    from graphc.train.files import save as save
    from graphc.train.rate_finder import RateSweep as RateSweep
    from graphc.train.rate_finder import lr_find as lr_find
    from graphc.train.taps import taps as taps

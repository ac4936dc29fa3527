"""The primitives, one file per family, one class per op."""

from graphc.ops.activation import Relu
from graphc.ops.base import Op
from graphc.ops.contract import Dot
from graphc.ops.conv import Conv
from graphc.ops.cumulative import (
    CumulativeMax,
    CumulativeMin,
    CumulativeProd,
    CumulativeSum,
    Recurrence,
)
from graphc.ops.diagonal import Diagonal
from graphc.ops.elementwise import (
    Abs,
    Add,
    Div,
    FloorDivide,
    Maximum,
    Minimum,
    Mul,
    Neg,
    Remainder,
    Sign,
    Sub,
)
from graphc.ops.elementwise_logic import (
    BitAnd,
    Bitcast,
    BitNot,
    BitOr,
    BitXor,
    Cast,
    Equal,
    Less,
    LessEqual,
    LogicalAnd,
    LogicalNot,
    LogicalOr,
    NotEqual,
    ShiftLeft,
    ShiftRight,
    StopGradient,
    Where,
)
from graphc.ops.elementwise_math import (
    Cos,
    Erf,
    Exp,
    Exp2,
    Expm1,
    Log,
    Log1p,
    Log2,
    Sigmoid,
    Sin,
    Softplus,
    Sqrt,
    Tanh,
)
from graphc.ops.elementwise_power import Ceil, Floor, Pow, Round, Trunc
from graphc.ops.elementwise_random import NormalFloat, UnitFloat
from graphc.ops.gather import Guard, ScatterAdd, Take
from graphc.ops.indexing import FirstSame, PutAlong, PutRows, TakeAlong
from graphc.ops.join import Concat
from graphc.ops.leaf import Constant, Input, Iota, Literal, Parameter, RandomBits, SizeOf
from graphc.ops.matrix import Cholesky, Lu, Solve, SolveTriangular
from graphc.ops.padding import Extend, Roll
from graphc.ops.reduce import All, Any_, ArgMax, ArgMin, FirstMax, Max, Min, Prod, Sum
from graphc.ops.sorting import ArgSort, SearchSorted, Sort, TopK
from graphc.ops.spectral import Eigh, Qr, Svd
from graphc.ops.view import BroadcastTo, Pad, Permute, Reshape, Slice
from graphc.ops.window import Slide, SlideBack, Window

ALL_OPS: tuple[type[Op], ...] = (
    # -- leaves --
    Input, Parameter, Constant, Literal, SizeOf, Iota, RandomBits,
    # -- elementwise --
    Add, Sub, Mul, Div, FloorDivide, Remainder, Pow, Neg, Abs, Sign, Maximum, Minimum,
    Exp, Exp2, Expm1, Log, Log2, Log1p, Sqrt, Tanh, Sigmoid, Softplus, Relu, Sin, Cos, Erf,
    Floor, Ceil, Trunc, Round,
    Less, LessEqual, Equal, NotEqual, LogicalAnd, LogicalOr, LogicalNot,
    BitAnd, BitOr, BitXor, BitNot, ShiftLeft, ShiftRight, Where, Cast, Bitcast,
    StopGradient, Guard, UnitFloat, NormalFloat,
    # -- reductions --
    Sum, Prod, Max, FirstMax, Min, Any_, All, ArgMax, ArgMin,
    # -- views and joins --
    BroadcastTo, Reshape, Permute, Slice, Pad, Extend, Roll, Diagonal,
    Slide, SlideBack, Concat,
    # -- contractions, gather and scatter --
    Dot, Conv, Take, ScatterAdd, TakeAlong, PutAlong, PutRows,
    # -- along rows in their order --
    CumulativeSum, CumulativeProd, CumulativeMax, CumulativeMin, Recurrence, FirstSame,
    Sort, ArgSort, TopK, SearchSorted,
    # -- matrices --
    Cholesky, Lu, Solve, SolveTriangular, Qr, Eigh, Svd,
)  # fmt: skip

__all__ = [
    "ALL_OPS",
    "Abs",
    "Add",
    "All",
    "Any_",
    "ArgMax",
    "ArgMin",
    "ArgSort",
    "BitAnd",
    "BitNot",
    "BitOr",
    "BitXor",
    "Bitcast",
    "BroadcastTo",
    "Cast",
    "Ceil",
    "Cholesky",
    "Concat",
    "Constant",
    "Conv",
    "Cos",
    "CumulativeMax",
    "CumulativeMin",
    "CumulativeProd",
    "CumulativeSum",
    "Diagonal",
    "Div",
    "Dot",
    "Eigh",
    "Equal",
    "Erf",
    "Exp",
    "Exp2",
    "Expm1",
    "Extend",
    "FirstMax",
    "FirstSame",
    "Floor",
    "FloorDivide",
    "Guard",
    "Input",
    "Iota",
    "Less",
    "LessEqual",
    "Literal",
    "Log",
    "Log1p",
    "Log2",
    "LogicalAnd",
    "LogicalNot",
    "LogicalOr",
    "Lu",
    "Max",
    "Maximum",
    "Min",
    "Minimum",
    "Mul",
    "Neg",
    "NormalFloat",
    "NotEqual",
    "Op",
    "Pad",
    "Parameter",
    "Permute",
    "Pow",
    "Prod",
    "PutAlong",
    "PutRows",
    "Qr",
    "RandomBits",
    "Recurrence",
    "Relu",
    "Remainder",
    "Reshape",
    "Roll",
    "Round",
    "ScatterAdd",
    "SearchSorted",
    "ShiftLeft",
    "ShiftRight",
    "Sigmoid",
    "Sign",
    "Sin",
    "SizeOf",
    "Slice",
    "Slide",
    "SlideBack",
    "Softplus",
    "Solve",
    "SolveTriangular",
    "Sort",
    "Sqrt",
    "StopGradient",
    "Sub",
    "Sum",
    "Svd",
    "Take",
    "TakeAlong",
    "Tanh",
    "TopK",
    "Trunc",
    "UnitFloat",
    "Where",
    "Window",
]  # fmt: skip

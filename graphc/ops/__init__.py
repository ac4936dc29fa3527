"""The primitives, one file per family, one class per op."""

from graphc.ops.base import Op
from graphc.ops.contract import Dot
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
from graphc.ops.gather import Guard, ScatterAdd, Take
from graphc.ops.join import Concat
from graphc.ops.leaf import Constant, Input, Iota, Literal, Parameter, RandomBits, SizeOf
from graphc.ops.reduce import All, Any_, ArgMax, ArgMin, Max, Min, Prod, Sum
from graphc.ops.view import BroadcastTo, Pad, Permute, Reshape, Slice

ALL_OPS: tuple[type[Op], ...] = (
    # -- leaves --
    Input, Parameter, Constant, Literal, SizeOf, Iota, RandomBits,
    # -- elementwise --
    Add, Sub, Mul, Div, FloorDivide, Remainder, Pow, Neg, Abs, Sign, Maximum, Minimum,
    Exp, Exp2, Expm1, Log, Log2, Log1p, Sqrt, Tanh, Sigmoid, Softplus, Sin, Cos, Erf,
    Floor, Ceil, Trunc, Round,
    Less, LessEqual, Equal, NotEqual, LogicalAnd, LogicalOr, LogicalNot,
    BitAnd, BitOr, BitXor, BitNot, ShiftLeft, ShiftRight, Where, Cast, Bitcast,
    StopGradient, Guard,
    # -- reductions --
    Sum, Prod, Max, Min, Any_, All, ArgMax, ArgMin,
    # -- views and joins --
    BroadcastTo, Reshape, Permute, Slice, Pad, Concat,
    # -- contractions, gather and scatter --
    Dot, Take, ScatterAdd,
)  # fmt: skip

"""Rewrite formulas so that no intermediate overflows, underflows or cancels."""

from __future__ import annotations

from graphc.compiler.passes.patterns import Rules, is_zero, number, pairs
from graphc.compiler.passes.rewrite import apply_rules
from graphc.ir.graph import Graph, Node, apply
from graphc.ir.ops.axes import base_of, repeats_along
from graphc.ir.ops.base import View
from graphc.ir.ops.elementwise import Add, Div, Mul, Neg, Sub
from graphc.ir.ops.elementwise_logic import Where
from graphc.ir.ops.elementwise_math import Exp, Expm1, Log, Log1p, Sigmoid, Softplus
from graphc.ir.ops.reduce import Sum

MAX_FACTOR_DEPTH = 6  # ops between a quotient and the factor that cancels it


def stabilise(graph: Graph) -> Graph:
    """Rewrite logarithms, exponentials and their gradients so that they stay finite and exact."""
    # first whole gradients of softmax, whose parts the other rules would change
    return apply_rules(apply_rules(graph, SOFTMAX_RULES), RULES)


# ----------------------------------------------------------------------------- logarithms


def log_of_exp(node: Node) -> Node | None:
    """log(exp(x))  ->  x"""
    (x,) = node.inputs
    return x.inputs[0] if isinstance(x.op, Exp) else None


def log_of_softmax(node: Node) -> Node | None:
    """log(exp(x) / sum(exp(x)))  ->  x - log(sum(exp(x)))"""
    (p,) = node.inputs
    if not is_softmax(p):
        return None
    powers, total = p.inputs
    return apply(Sub(), powers.inputs[0], apply(Log(), total))


def log_of_sigmoid(node: Node) -> Node | None:
    """log(sigmoid(x))  ->  -softplus(-x)"""
    (p,) = node.inputs
    if not isinstance(p.op, Sigmoid):
        return None
    return apply(Neg(), apply(Softplus(), negated(p.inputs[0])))


# 1 - sigmoid(x) alone stays: its error is half an ulp of 1, and sigmoid(-x) would need a second
# exponential in the gradient of every sigmoid.
def log_of_one_minus_sigmoid(node: Node) -> Node | None:
    """log(1 - sigmoid(x))  ->  -softplus(x)"""
    p = one_minus(node.inputs[0])
    if p is None or not isinstance(p.op, Sigmoid):
        return None
    return apply(Neg(), apply(Softplus(), p.inputs[0]))


def log_of_one_plus_exp(node: Node) -> Node | None:
    """log(1 + exp(x)), log1p(exp(x))  ->  softplus(x)"""
    (x,) = node.inputs
    powers = x if isinstance(node.op, Log1p) else one_plus(x)
    if powers is None or not isinstance(powers.op, Exp):
        return None
    return apply(Softplus(), powers.inputs[0])


def log_near_one(node: Node) -> Node | None:
    """log(1 + x)  ->  log1p(x),   log(1 - x)  ->  log1p(-x)"""
    x, y = one_plus(node.inputs[0]), one_minus(node.inputs[0])
    if x is not None:
        return apply(Log1p(), x)
    return None if y is None else apply(Log1p(), negated(y))


def one_plus(node: Node) -> Node | None:
    """The x of 1 + x."""
    if not isinstance(node.op, Add):
        return None
    return next((x for x, one in pairs(node) if number(one) == 1), None)


def one_minus(node: Node) -> Node | None:
    """The x of 1 - x."""
    if isinstance(node.op, Sub) and number(node.inputs[0]) == 1:
        return node.inputs[1]
    return None


def negated(x: Node) -> Node:
    """-x, without two signs in a row."""
    return x.inputs[0] if isinstance(x.op, Neg) else apply(Neg(), x)


def are_opposite(x: Node, y: Node) -> bool:
    """Whether x is -y, as it is written."""
    return any(isinstance(a.op, Neg) and a.inputs[0] is b for a, b in ((x, y), (y, x)))


def is_softmax(node: Node) -> bool:
    """Whether a node is exp(x) / sum(exp(x)), every element beside the sum of its own row."""
    if not isinstance(node.op, Div) or not isinstance(node.inputs[0].op, Exp):
        return False
    total = row_sum(node.inputs[1])
    return total is not None and total.inputs[0] is node.inputs[0]


def row_sum(node: Node) -> Node | None:
    """The sum that a chain of views repeats along exactly the axes that it was taken over."""
    total = base_of(node)
    return total if isinstance(total.op, Sum) and repeats_along(node, total) else None


# --------------------------------------------------------------------------- exponentials


def exp_minus_one(node: Node) -> Node | None:
    """exp(x) - 1  ->  expm1(x)"""
    minus = isinstance(node.op, Sub)
    for x, one in [node.inputs] if minus else pairs(node):
        if isinstance(x.op, Exp) and number(one) == (1 if minus else -1):
            return apply(Expm1(), x.inputs[0])
    return None


def quotient_is_sigmoid(node: Node) -> Node | None:
    """1 / (1 + exp(x))  ->  sigmoid(-x),   exp(x) / (1 + exp(x))  ->  sigmoid(x)"""
    above, below = node.inputs
    powers = one_plus(below)
    if powers is None or not isinstance(powers.op, Exp):
        return None
    (x,) = powers.inputs
    if number(above) == 1:
        return apply(Sigmoid(), negated(x))
    return apply(Sigmoid(), x) if above is powers else None


# ------------------------------------------------------------------------------ gradients


def softmax_gradient(node: Node) -> Node | None:
    """(a / s - sum(a / s * p)) * exp(x)  ->  (a - sum(a * p)) * p, for p = exp(x) / s

    All of s must be equal along the axes of the second sum, or it could not leave that sum, and
    the second sum must stand beside its own row, or it would be divided by another one's s.
    """
    for difference, powers in pairs(node):
        if not isinstance(powers.op, Exp) or not isinstance(difference.op, Sub):
            continue
        for share, repeated in pairs(difference):
            total = row_sum(repeated)
            p = total and softmax_in(total, share, powers)
            if total is None or p is None or not sums_within(total, p):
                continue
            a = share.inputs[0]
            again = apply(total.op, apply(Mul(), a, p))
            for view in reversed(views_above(repeated)):
                again = apply(view.op, again)
            terms = (a, again) if share is difference.inputs[0] else (again, a)
            return apply(Mul(), apply(Sub(), *terms), p)
    return None


def softmax_in(total: Node, share: Node, powers: Node) -> Node | None:
    """The softmax p of sum(share * p), share being a quotient by the same sum."""
    product = total.inputs[0]
    if not isinstance(product.op, Mul) or not isinstance(share.op, Div):
        return None
    for a, p in pairs(product):
        if a is share and is_softmax(p) and p.inputs == (powers, share.inputs[1]):
            return p
    return None


def sums_within(total: Node, p: Node) -> bool:
    """Whether a sum runs along axes of a softmax's rows alone, or along axes of size 1."""
    own = base_of(p.inputs[1]).op
    assert isinstance(own, Sum)
    assert isinstance(total.op, Sum)
    shape = p.type.shape
    return all(a in own.axes or shape[a] == 1 for a in total.op.axes)


def views_above(node: Node) -> list[Node]:
    """The views of a chain, the last one first."""
    views = []
    while isinstance(node.op, View):
        views.append(node)
        node = node.inputs[0]
    return views


def factor_cancels(node: Node) -> Node | None:
    """(a / p) * p  ->  a, in any term of a sum, where p is an exp, a softmax or a sigmoid"""
    for terms, factor in pairs(node):
        if isinstance(factor.op, (Exp, Sigmoid)) or is_softmax(factor):
            result = times(terms, factor, MAX_FACTOR_DEPTH)
            if result is not None:
                return result
    return None


def logistic_gradient(node: Node) -> Node | None:
    """(a / p - b / (1 - p)) * (p * (1 - p))  ->  a * (1 - p) - b * p, where p is a sigmoid"""
    for terms, slope in pairs(node):
        if isinstance(slope.op, Mul):
            for p, q in pairs(slope):
                if isinstance(p.op, Sigmoid) and one_minus(q) is p:
                    return times_slope(terms, p, q, slope, MAX_FACTOR_DEPTH)
    return None


def times_slope(terms: Node, p: Node, q: Node, slope: Node, depth: int) -> Node | None:
    """terms * (p * q), None where no quotient cancels; the terms are taken one by one."""
    if depth and isinstance(terms.op, (Add, Sub, Neg)):
        parts = [times_slope(t, p, q, slope, depth - 1) for t in terms.inputs]
        if any(part is not None for part in parts):
            full_parts = [
                apply(Mul(), t, slope) if part is None else part
                for t, part in zip(terms.inputs, parts)
            ]
            return apply(terms.op, *full_parts)
        return None
    for factor, other in ((p, q), (q, p)):
        result = times(terms, factor, depth)
        if result is not None:
            return apply(Mul(), result, other)
    return None


def times(term: Node, factor: Node, depth: int) -> Node | None:
    """term * factor where a quotient inside the term cancels, else None.

    At most `depth` ops are looked through.
    """
    if not depth:
        return None
    match term.op:
        case Sigmoid() if isinstance(factor.op, Exp):  # 1 / (1 + exp(-x)), exp(-x)
            (x,) = factor.inputs
            return apply(Sigmoid(), x) if are_opposite(term.inputs[0], x) else None
        case Div():
            return quotient_times(term, factor, depth)
        case Neg():
            inner = times(term.inputs[0], factor, depth - 1)
            return None if inner is None else apply(Neg(), inner)
        case Mul():
            for x, y in pairs(term):
                inner = times(x, factor, depth - 1)
                if inner is not None:
                    return apply(Mul(), inner, y)
        case Where():
            return choice_times(term, factor, depth)
        case Add() | Sub():
            parts = [times(t, factor, depth - 1) for t in term.inputs]
            if any(part is not None for part in parts):
                products = (
                    apply(Mul(), t, factor) if part is None else part
                    for t, part in zip(term.inputs, parts)
                )
                return apply(term.op, *products)
    return None


def choice_times(term: Node, factor: Node, depth: int) -> Node | None:
    """where(c, a, 0) * factor where a quotient inside a cancels."""
    c, x, y = term.inputs
    inner = times(x if is_zero(y) else y, factor, depth - 1) if is_zero(x) or is_zero(y) else None
    if inner is None:
        return None
    return apply(Where(), c, inner, y) if is_zero(y) else apply(Where(), c, x, inner)


def quotient_times(term: Node, factor: Node, depth: int) -> Node | None:
    """(a / b) * factor where b is the factor, 1 + the factor, or cancels further inside."""
    above, below = term.inputs
    if below is factor or is_complement(below, factor):
        return above
    if isinstance(factor.op, Exp) and one_plus(below) is factor:
        return apply(Mul(), above, apply(Sigmoid(), factor.inputs[0]))
    if isinstance(above.op, Div) and above.inputs[1].inputs == (factor, below):
        quotient = above.inputs[1]  # ((a / (factor / below)) / below) * factor
        return above.inputs[0] if isinstance(quotient.op, Div) else None
    inner = times(above, factor, depth - 1)
    return None if inner is None else apply(Div(), inner, below)


def is_complement(node: Node, sigmoid: Node) -> bool:
    """Whether a node is 1 - sigmoid(-x), for sigmoid(x)."""
    other = one_minus(node)
    if other is None or not isinstance(other.op, Sigmoid) or not isinstance(sigmoid.op, Sigmoid):
        return False
    return are_opposite(other.inputs[0], sigmoid.inputs[0])


SOFTMAX_RULES: Rules = ((Mul, (softmax_gradient,)),)
RULES: Rules = (
    (Log, (log_of_exp, log_of_softmax, log_of_sigmoid, log_of_one_minus_sigmoid,
           log_of_one_plus_exp, log_near_one)),
    (Log1p, (log_of_one_plus_exp,)),
    (Sub, (exp_minus_one,)),
    (Add, (exp_minus_one,)),
    (Div, (quotient_is_sigmoid,)),
    (Mul, (logistic_gradient, factor_cancels)),
)  # fmt: skip

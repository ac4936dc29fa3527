"""Second-order methods for full batches: L-BFGS, BFGS and Newton, a line search in the step."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.arguments import checked
from graphc.frontend.autodiff.forward import hessian
from graphc.frontend.functions.control import cond
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor, literal
from graphc.ir.types import bool_, int64
from graphc.linalg import eigh, solve
from graphc.optim.base import Optimizer
from graphc.optim.checks import check_not_negative, check_positive
from graphc.optim.line_search import Point, strong_wolfe
from graphc.optim.objective import Objective, objective
from graphc.optim.scaling import Values
from graphc.optim.updates import Updates

MAX_MATRIX = 20_000  # elements of parameters for which a square matrix is kept


class FullBatch(Optimizer):
    """Base of the methods that search along a direction; `direction` is the subclass's.

    One step evaluates the loss and its gradient at the parameters, and then wherever the line
    search wants to know them, at most `max_evaluations` times: all compiled into the step. For
    losses without randomness, of all samples at once.
    """

    def __init__(
        self,
        learning_rate: float = 1.0,
        c1: float = 1e-4,
        c2: float = 0.9,
        max_evaluations: int = 25,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, name)
        kind = type(self).__name__
        check_positive(kind, "learning_rate", learning_rate)
        if not 0.0 < c1 < c2 < 1.0:
            text = f"{kind}: needs 0 < c1 < c2 < 1, got {c1} and {c2}"
            raise ArgumentError(text, origin=origins.find_origin())
        check_positive(kind, "max_evaluations", max_evaluations)
        self.c1, self.c2, self.max_evaluations = c1, c2, int(max_evaluations)

    @checked
    def minimize(
        self,
        loss: Tensor,
        parameters: Parameter | Iterable[Parameter] | None = None,
        clip_norm: Any = None,
        clip_value: Any = None,
        sparse: str = "exact",
        clip_each_norm: Any = None,
    ) -> Updates:
        """Return the updates of one step: a direction, and a line search along it.

        `parameters` defaults to the trainable ones that the loss reaches. Gradients are not
        clipped: limits are an ArgumentError, as are losses with random numbers in them.
        """
        kind = type(self).__name__
        if (clip_norm, clip_value, clip_each_norm) != (None, None, None):
            raise ArgumentError(
                f"{kind}: gradients cannot be clipped, the line search needs them as they are",
                origin=origins.find_origin(),
            )
        with origins.inherit(origins.current().origin or origins.find_origin(), origins.UPDATE):
            problem = objective(kind, loss, parameters)
            self._check_size(problem)
            values = self._search(problem) | self.counts()
        return Updates(values, (self,))

    def apply(
        self,
        gradients: Mapping[Parameter, Tensor] | Iterable[tuple[Tensor, Parameter]],
        *limits: Any,
        **options: Any,
    ) -> NoReturn:
        """Not possible: raises ArgumentError."""
        raise ArgumentError(
            f"{type(self).__name__}: a line search needs the loss, not gradients alone",
            origin=origins.find_origin(),
            hint="use minimize(loss)",
        )

    @abstractmethod
    def direction(self, problem: Objective, x: Tensor, g: Tensor, new: Values) -> Tensor:
        """Where to go from x, before it is known how far."""

    def _search(self, problem: Objective) -> Values:
        new: Values = {}
        x, g = problem.start, problem.gradient
        value = fn.astype(problem.loss, problem.dtype)
        wanted = self.direction(problem, x, g, new)
        slope = fn.sum(wanted * g)
        usable = fn.isfinite(slope) & (slope < 0.0)
        d = fn.where(usable, wanted, -g)
        start = Point(literal(0.0, problem.dtype), value, fn.sum(d * g))

        def along(t: Tensor) -> tuple[Tensor, Tensor]:
            there, gradient = problem.at(x + t * d)
            return there, fn.sum(gradient * d)

        first = fn.astype(self.rate(), problem.dtype) * self._first(g, usable)
        t, _ = strong_wolfe(along, start, first, self.c1, self.c2, self.max_evaluations)
        self.after(usable & (t > 0.0), new)
        return {**problem.pieces(x + t * d), **new}

    def _first(self, g: Tensor, usable: Tensor) -> Tensor:
        """The distance to try first, in units of the direction: short along the gradient."""
        size = fn.sum(fn.abs(g))
        short = fn.minimum(1.0, 1.0 / fn.where(size > 0.0, size, 1.0))
        return fn.where(usable & self.experienced(), 1.0, fn.astype(short, g.dtype))

    def experienced(self) -> Tensor:
        """Whether the direction knows the curvature, so that 1 is the natural distance."""
        return literal(True, bool_)

    def after(self, moved: Tensor, new: Values) -> None:
        """Take into `new` what follows from having moved along the direction, or not."""

    def _check_size(self, problem: Objective) -> None:
        """Raise where there are too many parameters."""

    def _vector(self, problem: Objective, role: str, shape: tuple[int, ...]) -> Parameter:
        """State that belongs to no single parameter, zeros at first, named NAME/ROLE."""
        return self._scalar(role, np.zeros(shape, problem.dtype.numpy))


class _Secant(FullBatch):
    """Base of the methods that learn the curvature from steps and differences of gradients."""

    def direction(self, problem: Objective, x: Tensor, g: Tensor, new: Values) -> Tensor:
        """That of the curvature seen so far, the last step included."""
        n = (problem.size,)
        old_x, old_g = self._vector(problem, "x", n), self._vector(problem, "gradient", n)
        seen, moved = self._scalar("seen", np.int64(0)), self._scalar("moved", np.bool_(False))
        s, y = x - old_x, g - old_g
        curvature = fn.sum(s * y)
        good = moved & (curvature > fn.sum(y * y) * 1e-10)
        known = fn.where(moved, seen, 0)  # a search that led nowhere forgets everything
        new[old_x], new[old_g] = x, g
        new[seen] = known + fn.astype(good, int64)
        self._experience = new[seen] > 0
        return self.learned(problem, g, (s, y, good, known), new)

    @abstractmethod
    def learned(
        self, problem: Objective, g: Tensor, pair: tuple[Tensor, ...], new: Values
    ) -> Tensor:
        """The direction, with the pair (s, y, whether it counts, how many came before)."""

    def experienced(self) -> Tensor:
        """Whether any curvature has been seen."""
        return self._experience

    def after(self, moved: Tensor, new: Values) -> None:
        """Remember whether the last search led anywhere."""
        new[self._scalar("moved", np.bool_(False))] = moved | ~self._experience


class LBFGS(_Secant):
    """Limited-memory BFGS with a strong Wolfe line search (Nocedal and Wright 2006, 7.2).

    The last `history` steps and differences of gradients stand for the Hessian. The state is
    2 (history + 1) vectors as long as all parameters together.
    """

    kind = "lbfgs"

    def __init__(
        self,
        learning_rate: float = 1.0,
        history: int = 10,
        c1: float = 1e-4,
        c2: float = 0.9,
        max_evaluations: int = 25,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, c1, c2, max_evaluations, name)
        check_positive("LBFGS", "history", history)
        self.history = int(history)

    def learned(
        self, problem: Objective, g: Tensor, pair: tuple[Tensor, ...], new: Values
    ) -> Tensor:
        """The two-loop recursion over the pairs that are there, the newest first."""
        s, y, good, known = pair
        shape = (self.history, problem.size)
        steps, changes = (self._vector(problem, r, shape) for r in ("steps", "changes"))
        place = fn.where(good, known % self.history, self.history)  # outside: kept as it is
        hot = fn.expand_dims(fn.arange(self.history) == place, 1)
        new[steps], new[changes] = fn.where(hot, s, steps), fn.where(hot, y, changes)
        count = known + fn.astype(good, int64)
        q, shares = g, []
        for age in range(self.history):
            used, si, yi, rho = self._pair(new[steps], new[changes], count, age)
            share = fn.where(used, rho * fn.sum(si * q), 0.0)
            q = q - share * yi
            shares.append(share)
        used, si, yi, rho = self._pair(new[steps], new[changes], count, 0)
        r = q * fn.where(used, 1.0 / (rho * fn.sum(yi * yi)), 1.0)
        for age in reversed(range(self.history)):
            used, si, yi, rho = self._pair(new[steps], new[changes], count, age)
            r = r + si * fn.where(used, shares[age] - rho * fn.sum(yi * r), 0.0)
        return -r

    def _pair(
        self, steps: Tensor, changes: Tensor, count: Tensor, age: int
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Whether a pair of that age is there, the pair, and 1 / (s . y)."""
        used = count > age
        place = (count - 1 - age) % self.history
        si, yi = fn.take(steps, place, axis=0), fn.take(changes, place, axis=0)
        product = fn.sum(si * yi)
        return used, si, yi, fn.where(used, 1.0 / fn.where(used, product, 1.0), 1.0)


class BFGS(_Secant):
    """BFGS with a strong Wolfe line search (Nocedal and Wright 2006, 6.1).

    The inverse of the Hessian is a square matrix of state, corrected by rank 2 in every step:
    H = (I - s y^T / (y . s)) H (I - y s^T / (y . s)) + s s^T / (y . s).
    """

    kind = "bfgs"

    def learned(
        self, problem: Objective, g: Tensor, pair: tuple[Tensor, ...], new: Values
    ) -> Tensor:
        """-H g."""
        s, y, good, known = pair
        n = problem.size
        inverse = self._vector(problem, "inverse_hessian", (n, n))
        rho = 1.0 / fn.where(good, fn.sum(s * y), 1.0)
        size = fn.where(good, 1.0 / (rho * fn.where(good, fn.sum(y * y), 1.0)), 1.0)
        identity = fn.eye(n, dtype=problem.dtype)
        before = fn.where(known > 0, inverse, size * identity)
        hy = before @ y
        middle = (1.0 + rho * fn.sum(y * hy)) * rho
        cross = fn.outer(s, hy)
        corrected = before + middle * fn.outer(s, s) - rho * (cross + fn.matrix_transpose(cross))
        new[inverse] = fn.where(good, corrected, before)
        return -(new[inverse] @ g)

    def _check_size(self, problem: Objective) -> None:
        _check_matrix("BFGS", problem)


class Newton(FullBatch):
    """Newton's method with a strong Wolfe line search (Nocedal and Wright 2006, 3.3).

    The direction is -(H + damping I)^-1 g with the whole Hessian. Where that leads uphill, the
    eigenvalues of H + damping I count by their absolute values (Dauphin et al. 2014), so saddle
    points are left. A quadratic is solved in one step.
    """

    kind = "newton"

    def __init__(
        self,
        learning_rate: float = 1.0,
        damping: float = 0.0,
        c1: float = 1e-4,
        c2: float = 0.9,
        max_evaluations: int = 25,
        name: str | None = None,
    ) -> None:
        super().__init__(learning_rate, c1, c2, max_evaluations, name)
        check_not_negative("Newton", "damping", damping)
        self.damping = damping

    def direction(self, problem: Objective, x: Tensor, g: Tensor, new: Values) -> Tensor:
        """Towards the minimum of the quadratic that fits here."""
        point = x + 0.0
        loss = fn.astype(problem.moved([problem.loss], point)[0], problem.dtype)
        curvature = hessian(loss, point)
        curvature = curvature + self.damping * fn.eye(problem.size, dtype=problem.dtype)
        straight = -solve(curvature, g)
        uphill = fn.sum(straight * g) >= 0.0
        found: Tensor = cond(uphill, lambda: _downhill(curvature, g), lambda: straight)
        return found

    def _check_size(self, problem: Objective) -> None:
        _check_matrix("Newton", problem)


def _downhill(curvature: Tensor, g: Tensor) -> Tensor:
    """-|H|^-1 g: the eigenvalues of the curvature by their absolute values."""
    values, vectors = eigh(curvature)
    sizes = fn.abs(values)
    least = fn.max(sizes) * (1e-12 if g.dtype.bits == 64 else 1e-6)
    return -(vectors @ (fn.matrix_transpose(vectors) @ g / fn.maximum(sizes, least)))


def _check_matrix(name: str, problem: Objective) -> None:
    if problem.size > MAX_MATRIX:
        raise ArgumentError(
            f"{name}: {problem.size:,} parameters make a matrix of {problem.size:,} rows",
            origin=origins.find_origin(),
            hint="LBFGS needs no matrix",
        )

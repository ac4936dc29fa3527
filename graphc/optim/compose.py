"""Optimisers made of parts: chains of transforms, groups of parameters, sums over steps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError
from graphc.frontend import functions as fn
from graphc.frontend.parameter import Parameter
from graphc.frontend.tensor import Tensor
from graphc.optim.base import Optimizer, Pairs, constrained
from graphc.optim.checks import check_clip, check_decay, check_finite, check_not_negative
from graphc.optim.clip import Clip
from graphc.optim.masks import Mask, chosen_by
from graphc.optim.rows import SparseRows
from graphc.optim.scaling import Unscale, Values
from graphc.optim.transform import Scalar, Transform, compute_dtype


class _Clipping(Transform):
    """Gradients within limits."""

    over_all = True
    leaves_rows = True

    def __init__(self, kind: str, clip: Clip) -> None:
        self.kind = kind
        super().__init__()
        self._clip = clip

    def move_all(self, gradients: Sequence[Tensor]) -> list[Tensor]:
        """All gradients within the limits."""
        return self._clip.apply(list(gradients), self)


class _WeightDecay(Transform):
    """gradient + rate * parameter."""

    kind = "weight_decay"

    def __init__(self, rate: Scalar, mask: Mask | None) -> None:
        super().__init__()
        self._rate, self._decays = rate, chosen_by("weight_decay", "mask", mask)

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """The gradient, and what pulls to zero."""
        if not self._decays(parameter):
            return gradient
        return gradient + self.scalar(self._rate, value.dtype) * value


class _Momentum(Transform):
    """v = decay v + gradient."""

    kind = "momentum"

    def __init__(self, decay: Scalar, nesterov: bool) -> None:
        super().__init__()
        self._decay, self._nesterov = decay, nesterov

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """The velocity, or what it will be after a look ahead."""
        velocity, decay = self.slot(parameter, "velocity"), self.scalar(self._decay, value.dtype)
        v = new[velocity] = decay * velocity + gradient
        return gradient + decay * v if self._nesterov else v


class _Scale(Transform):
    """gradient * factor."""

    kind = "scale"
    leaves_rows = True

    def __init__(self, factor: Scalar) -> None:
        super().__init__()
        self._factor = factor

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """The gradient, scaled."""
        return self.scalar(self._factor, value.dtype) * gradient


def clip_by_value(limit: Scalar) -> Transform:
    """Bound every element to [-limit, limit]; a part of `chain`."""
    check_clip(limit=limit)
    return _Clipping("clip_by_value", Clip(value=limit))


def clip_by_norm(limit: Scalar) -> Transform:
    """Scale every gradient by limit / norm where its own norm exceeds the limit; for `chain`."""
    check_clip(limit=limit)
    return _Clipping("clip_by_norm", Clip(each=limit))


def clip_by_global_norm(limit: Scalar) -> Transform:
    """Scale all gradients by limit / norm where their global norm exceeds it (Pascanu et al.
    2013); a part of `chain`."""
    check_clip(limit=limit)
    return _Clipping("clip_by_global_norm", Clip(norm=limit))


def weight_decay(rate: Scalar, mask: Mask | None = None) -> Transform:
    """Add rate * parameter to what comes in; a part of `chain`.

    Before an optimiser that is the gradient of an L2 penalty, after it a decoupled decay. `mask`
    says of which parameters: a function of one, a pattern of names, or a collection.
    """
    check_not_negative("weight_decay", "rate", rate)
    return _WeightDecay(rate, mask)


def momentum(decay: Scalar = 0.9, nesterov: bool = False) -> Transform:
    """v = decay * v + what comes in, which v replaces (with Nesterov: in + decay * v); for
    `chain`."""
    check_decay("momentum", "decay", decay)
    return _Momentum(decay, nesterov)


def scale(factor: Scalar) -> Transform:
    """Multiply by a number, a schedule or a tensor of rank 0; a part of `chain`."""
    check_finite("scale", "factor", factor)
    return _Scale(factor)


class Chain(Optimizer):
    """Parts one after the other; see `chain`."""

    kind = "chain"

    def __init__(self, parts: Sequence[Transform], name: str | None = None) -> None:
        super().__init__(1.0, name)
        self.parts = tuple(parts)
        first = next((i for i, p in enumerate(parts) if not p.over_all), len(parts))
        self._leading, self._rest = self.parts[:first], self.parts[first:]
        self._mixed = any(part.over_all for part in self._rest)
        self.needs_whole = self._mixed or any(part.needs_whole for part in self._rest)

    @property
    def learning_rate(self) -> Parameter:
        """That of the only optimiser among the parts."""
        found = [part for part in self.parts if isinstance(part, Optimizer)]
        if len(found) != 1:
            raise ArgumentError(
                f"{self.name}: {len(found) or 'none'} of its parts have a learning rate",
                origin=origins.find_origin(),
                hint="ask the part itself: part.learning_rate"
                if found
                else "end the chain with an optimiser: gx.optim.SGD(rate) in place of scale(rate)",
            )
        return found[0].learning_rate

    def current_rate(self) -> float | None:
        """None: its parts have rates, if any."""
        return None

    def move(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """What the last part makes of what the others made of the gradient."""
        for part in self._rest:
            gradient = part.move(parameter, value, gradient, new)
        return gradient

    def update(
        self, parameter: Parameter, value: Tensor, gradient: Tensor, new: dict[Parameter, Tensor]
    ) -> Tensor:
        """The next value; an optimiser that is the last part makes it itself."""
        last = self._rest[-1] if self._rest else None
        for part in self._rest[:-1]:
            gradient = part.move(parameter, value, gradient, new)
        if isinstance(last, Optimizer):
            return last.update(parameter, value, gradient, new)
        return value - (gradient if last is None else last.move(parameter, value, gradient, new))

    def _steps(
        self, parameters: list[Parameter], gradients: list[Tensor], rows: list[SparseRows | None]
    ) -> Values:
        for part in self._leading:
            gradients = part.move_all(gradients)
        if not self._mixed:
            return super()._steps(parameters, gradients, rows)
        new: Values = {}
        values = [fn.astype(p, compute_dtype(p.dtype)) for p in parameters]
        moves = [fn.astype(g, v.dtype) for g, v in zip(gradients, values)]
        for part in self._rest:
            if part.over_all:
                moves = part.move_all(moves)
                continue
            moves = [part.move(p, v, m, new) for p, v, m in zip(parameters, values, moves)]
        for parameter, value, move in zip(parameters, values, moves):
            new[parameter] = fn.astype(constrained(parameter, value - move), parameter.dtype)
        return new


class Groups(Optimizer):
    """An optimiser for each group of parameters; see `groups`."""

    kind = "groups"

    def __init__(
        self, choices: Sequence[tuple[Mask, Optimizer | None]], name: str | None = None
    ) -> None:
        super().__init__(1.0, name)
        self._choices = [(chosen_by("groups", "group", m), o) for m, o in choices]
        self.parts = tuple(dict.fromkeys(o for _, o in self._choices if o is not None))

    @property
    def learning_rate(self) -> Parameter:
        """There are several: raises ArgumentError."""
        raise ArgumentError(
            f"{self.name}: every group has a learning rate of its own",
            origin=origins.find_origin(),
            hint="ask the optimiser of a group: optimizer.learning_rate",
        )

    def _updates(
        self, pairs: Pairs, clip: Clip, sparse: str, unscale: Unscale | None = None
    ) -> Values:
        moved = [(p, g) for p, g in pairs if self._of(p) is not None]
        return super()._updates(moved, clip, sparse, unscale)

    def _steps(
        self, parameters: list[Parameter], gradients: list[Tensor], rows: list[SparseRows | None]
    ) -> Values:
        new: Values = {}
        members = list(zip(parameters, gradients, rows))
        for part in self.parts:
            assert isinstance(part, Optimizer)
            own = [m for m in members if self._of(m[0]) is part]
            if own:
                new |= part._steps([m[0] for m in own], [m[1] for m in own], [m[2] for m in own])
        return new

    def _rows_of(self, parameter: Parameter, gradient: Tensor, lazy: bool) -> SparseRows | None:
        optimizer = self._of(parameter)
        assert optimizer is not None
        rows = optimizer._rows_of(parameter, gradient, lazy)
        self.sparse |= optimizer.sparse
        return rows

    def _of(self, parameter: Parameter) -> Optimizer | None:
        """The optimiser of the first group that a parameter is in."""
        for is_member, optimizer in self._choices:
            if is_member(parameter):
                return optimizer
        raise ArgumentError(
            f"groups: {parameter.name} is in no group",
            origin=origins.find_origin(),
            hint='end with ("*", optimizer), or ("*", None) to leave the others as they are',
        )


class Accumulate(Optimizer):
    """One step of an optimiser for the mean gradient of several steps; see `accumulate`."""

    kind = "accumulate"

    def __init__(self, optimizer: Optimizer, steps: int, name: str | None = None) -> None:
        super().__init__(1.0, name)
        self.parts, self._steps_each = (optimizer,), steps

    @property
    def inner(self) -> Optimizer:
        """The optimiser that takes the steps."""
        return self.parts[0]  # type: ignore[return-value]

    @property
    def learning_rate(self) -> Parameter:
        """That of the optimiser inside."""
        return self.inner.learning_rate

    def _updates(
        self, pairs: Pairs, clip: Clip, sparse: str, unscale: Unscale | None = None
    ) -> Values:
        with origins.inherit(origins.current().origin or origins.find_origin(), origins.UPDATE):
            gradients = [g for _, g in pairs]
            gradients = gradients if unscale is None else unscale(gradients)
            due = self.next_count() % self._steps_each == 0
            sums: Values = {}
            for (parameter, _), gradient in zip(pairs, gradients):
                total = self.slot(parameter, "gradient")
                sums[total] = total + fn.astype(gradient, total.dtype) / self._steps_each
            given = [(p, fn.astype(s, p.dtype)) for (p, _), s in zip(pairs, sums.values())]
            new = self.inner._updates(given, clip, sparse)
            new = {p: fn.where(due, value, p) for p, value in new.items()}
            new |= {total: fn.where(due, 0.0, value) for total, value in sums.items()}
            return new | dict(self._next)


def chain(*parts: Transform, name: str | None = None) -> Optimizer:
    """An optimiser that hands the gradient from part to part; the last result is subtracted.

    Parts are optimisers and `clip_by_value`, `clip_by_norm`, `clip_by_global_norm`,
    `weight_decay`, `momentum`, `scale`. `chain(Adagrad(0.01), momentum(0.9))` is Adagrad with
    momentum, `chain(Adam(1e-3), scale(schedule))` Adam whose rate is scaled. Limits given to
    `minimize` come before all parts.
    """
    for part in parts:
        if not isinstance(part, Transform):
            raise ArgumentError(
                f"chain: needs optimisers and transforms, got {part!r:.60}",
                origin=origins.find_origin(),
                hint="gx.optim.scale(schedule) makes a part of a schedule",
            )
    if not parts:
        raise ArgumentError("chain: needs at least one part", origin=origins.find_origin())
    return Chain(parts, name)


def groups(choices: Sequence[tuple[Mask, Optimizer | None]], name: str | None = None) -> Optimizer:
    """An optimiser that gives every parameter to that of its group, the first one it is in.

    A group is (which, optimizer): a pattern of names such as "*/bias", a function of the
    parameter, or a collection of parameters; None for the optimiser leaves the group as it is.
    Limits of `minimize` (`clip_norm`) hold for the gradients of all groups together.
    """
    if not isinstance(choices, (list, tuple)) or not choices:
        raise ArgumentError(
            f"groups: needs a list of pairs, got {choices!r:.60}", origin=origins.find_origin()
        )
    for choice in choices:
        pair = isinstance(choice, tuple) and len(choice) == 2
        if not pair or not (choice[1] is None or isinstance(choice[1], Optimizer)):
            raise ArgumentError(
                f"groups: needs pairs (which parameters, optimiser), got {choice!r:.60}",
                origin=origins.find_origin(),
            )
    return Groups(choices, name)


def accumulate(optimizer: Optimizer, steps: int, name: str | None = None) -> Optimizer:
    """An optimiser that takes a step after every `steps` calls, with the mean of their gradients.

    As if the batch were `steps` times as large. Limits of `minimize` hold for the mean; a loss
    scale watches every call. State is one more array for each parameter.
    """
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(
            f"accumulate: needs an optimiser, got {optimizer!r:.60}", origin=origins.find_origin()
        )
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)) or steps < 1:
        raise ArgumentError(
            f"accumulate: steps must be 1 or more, got {steps!r}", origin=origins.find_origin()
        )
    return Accumulate(optimizer, int(steps), name)

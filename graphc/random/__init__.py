"""Random tensors: counter-based, the same on every backend and for any number of threads.

The bits of a draw are a function of (seed, step, stream, element): `gx.seed` sets the seed, the
compiled function counts its steps, and the stream is a hash of the draw's name. Name a draw and
nothing but its name decides its stream; unnamed draws are numbered by scope and kind
(uniform, uniform_1, ..., dropout/bernoulli), in the order in which the graph is built.
"""

from graphc.frontend.arguments import check_all
from graphc.random.distributions import (
    categorical,
    exponential,
    gamma,
    gumbel,
    permutation,
    randint,
    truncated_normal,
)
from graphc.random.draw import bernoulli, bits, normal, stream_of, uniform

__all__ = [
    "bernoulli", "bits", "categorical", "exponential", "gamma", "gumbel", "normal", "permutation",
    "randint", "stream_of", "truncated_normal", "uniform",
]  # fmt: skip

check_all(globals(), __all__)

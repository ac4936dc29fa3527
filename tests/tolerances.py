"""Tolerances of tests that are no row of `graphc.testing`, and the reason for each.

Most tests say `assert_close(found, expected)`, whose rows are in `graphc/ir/compare.py`. Here is
what is tighter than the rows, or has a reference that is not exact itself. Pairs are arguments:
`np.testing.assert_allclose(found, expected, **FORMULA)`, `pytest.approx(expected, **SLOPE)`.
"""

from __future__ import annotations

from typing import Any


def near(rtol: float | None = None, atol: float = 0.0) -> dict[str, float]:
    """Arguments of numpy's assert_allclose and allclose, where rtol is 1e-7 if none is given."""
    return {"atol": atol} if rtol is None else {"rtol": rtol, "atol": atol}


def about(rel: float | None = None, abs: float | None = None) -> dict[str, float | None]:
    """Arguments of pytest.approx."""
    return {"rel": rel, "abs": abs}


# --- Rounding, tighter than the rows ---

# float64 of one op that is rounded once or twice: four units in the last place
LAST_PLACE = 1e-15
# the same of values that are no larger than 1, and of 0 as the sine of a multiple of pi has it
LAST_PLACE_OF_ONE = near(atol=1e-15)
# float32, what a rewrite may change: two units and a half in the last place
LAST_BITS = near(3e-7)
# float32 of results that are rounded to subnormal numbers on one way and not on the other
SUBNORMAL = near(atol=1e-44)
# float32 of a variate: the logarithm's rounding and that of its argument
VARIATES = near(4e-7)
# float64 logarithms of sums of powers: one of 1e-87 is 0 where the largest term is no shift
NO_SHIFT = near(1e-14, 1e-80)
# logarithms and quotients of powers in their stable form: some units in the last place
STABLE = {"float64": 2e-15, "float32": 1e-6}
# of these where nothing cancels, beside a value that underflows
STABLE_ZERO = 1e-10
# sines of angles of many turns, against long double: some units in the last place; of bfloat16,
# whose results are rounded once, half a unit and a little
MANY_TURNS = {"float64": 1e-15, "float32": 4e-7, "bfloat16": 5e-3}
# norms of numbers near the ends of the range, which are scaled first: the row, or what tops it
NORMS = {"float64": 1e-13, "float32": 2e-6, "float16": 2e-3, "bfloat16": 1e-2}
# slopes of these that are 0, in units of the largest slope, which is 1
NORM_SLOPES = 1e-6
# gradients clipped by their norm: a norm, a quotient and a product
CLIPPED = {"float64": 1e-14, "float32": 1e-6, "float16": 2e-3, "bfloat16": 8e-3}


def near_share(draws: Any) -> dict[str, float]:
    """Of the mean of draws: five standard errors."""
    return near(0.0, 5 * float(draws.std()) / len(draws) ** 0.5)


# a share of draws beside its probability, where that is certain: its standard error is 0
CERTAIN = 1e-12

# float32 pictures read at places that are rounded: slopes of 1 times places of some elements
TURNED = 1e-5
# float32 perplexities by bisection, and logarithms of shares down to 1e-7
PERPLEXITY = 1e-3

# where scikit-learn stops, and what that leaves: slopes of sums of 300 terms, a share of the loss
SKLEARN_STOPS: dict[str, Any] = {"tol": 1e-8, "max_iter": 1000}
FLAT = near(atol=1e-2)
SAME_MINIMUM = near(1e-3)

# --- Rounding, of formulas and sums between the rows ---

# float32 of an op or two, where one number stands for all that is expected: the row "ulps"
ONE_NUMBER = near(1e-6)
# float64 of a formula of which terms cancel some digits, each value by itself
FORMULA = near(1e-12)
# places of a minimum that two searches ended at: the root of what their values still differ by
MINIMUM = near(1e-5, 1e-5)
# a weight that an L1 penalty pulls towards 0 by its threshold
SHRUNK = 0.05
# a drawn group's mean beside the one it was drawn from, and a share that a fit ended near
DRAWN_MEAN, FITTED_SHARE = about(abs=2.0), about(abs=0.05)
# where SciPy's own search ends
SCIPY_END = 1e-12
# how far a limited step may go
LIMITED_STEP = 1e-6
# float64 logarithm of 1 / (1 + exp(-x)): the reference has lost four digits at 9, and is 0 at 80
LOG_NEAR_ONE = near(1e-12, 1e-30)
# float32 of functions that are a few ops, computed in halves too: half the row where terms cancel
FEW_OPS = near(2e-6, 1e-6)
# float32 and halves beside NumPy's: the row "rounding", of 1 where elements are smaller
BESIDE_NUMPY = 2e-6
# float32 and float16, products of a row: every factor adds a rounding of float16
PRODUCTS_OF_ROWS = 1e-3
# float32, running sums of 70000 terms; and of 9000
RUNNING_SUMS = 1e-4
LONG_RUNNING_SUMS = near(1e-4, 1e-4)
# float32 kernels of ordered ops beside their evaluation in the same dtype
ORDERED = near(1e-5, 1e-5)
# float32, ops with a batch axis beside a loop over the examples: products in another order
EACH_EXAMPLE = near(2e-6, 1e-5)
EACH_EXAMPLE_COMPILED = near(1e-5, 1e-4)
# float32, weighted sums of exponentials in another order
OTHER_ORDER = near(2e-5, 2e-6)
# float32, variances of thousands in chunks; products of as many factors near 1
VARIANCES = near(1e-5)
LONG_PRODUCTS = near(3e-4)
# float32 variance of values of 1e5, whose mean is rounded to two units in the last place
FAR_FROM_ZERO = near(1e-6, 2.0**-12)
# float32 mean of a normalised row that is moved by 3; its deviation lacks what epsilon adds
NORMALISED_MEAN = near(atol=1e-5)
NORMALISED_DEVIATION = near(1e-3)
# float32 shares of a mean loss: a share's rounding and that of the exponentials
SHARES_OF_LOSS = near(atol=1e-7)
# float32, whether predictions are of the new weights, which an update moves by far more
PREDICTED = near(1e-4, 1e-4)
# float64 images resized by weights in float32
FLOAT32_WEIGHTS = near(0.0, 2e-6)
# float32 spectra, in units of the root of the number of terms; of planes of 60 terms
SPECTRA = 2e-5
SPECTRA_OF_PLANES = near(atol=1e-4)
# float64 determinants: minors by numpy's, whose own are LU; those that are 0, per unit of scale
COFACTORS = 1e-10
COFACTOR_ZEROS = 1e-13
# kernels written by hand in float32, in units of the largest number: a softmax, moments, products
KERNEL_SOFTMAX = 1e-6
KERNEL_MOMENTS = 3e-6
KERNEL_PRODUCTS = 1e-4

# --- Finite differences, in float64 unless it says otherwise ---

# a central difference of step 1e-5 or 1e-6: the step's square in the third derivative, and the
# rounding of values divided by the step
SLOPE = about(rel=1e-6)
# the same of slopes near 0
SLOPE_OR_ZERO = about(rel=1e-6, abs=1e-6)
# of linear algebra, first and second derivatives
SLOPE_OF_MATRICES = about(rel=1e-6, abs=1e-7)
BEND_OF_MATRICES = about(rel=1e-5, abs=1e-6)
# of functions of eigenvalues, whose third derivatives are small
SLOPE_OF_SPECTRA = about(rel=1e-7, abs=1e-7)
# of the elements of a vector through a loop, with step 1e-6
SLOPE_OF_LOOPS = about(rel=1e-5, abs=1e-8)
# what check_gradients reports for a smooth loss
REPORTED = 1e-8
# a difference of scipy's inverse of the incomplete gamma function, with step 1e-5
SLOPE_OF_QUANTILES = near(2e-6)
# its second difference, with step 1e-3
BEND_OF_QUANTILES = near(1e-4)

# --- Sums of logarithms: scores of tokens in float32 against float64 ---

SCORE = about(rel=1e-4)
SCORE_OR_ZERO = about(rel=1e-4, abs=1e-5)
SCORE_OF_THREE = about(rel=1e-5)
SCORE_TIE = 1e-4  # equal scores that are summed in another order

# --- Drawn numbers: five standard errors or more of the count that the test draws ---

# quotients of deviations, each of 600 gradients of 5 numbers
NOISE = about(rel=0.15)
# half of 8000 elements
HALF_OF_THEM = about(abs=0.05)
# variances of 90000, and the first loss of a network whose weights are 0.01
DRAWN = about(rel=0.02)
# means of the columns of a hundred thousand
MEANS = near(atol=0.01)

# --- Half precision ---

# losses of bfloat16 are rounded once: half a unit in its last place
HALF_LOSSES = near(2.0**-8)
# normalised values, none beyond 4: a unit in the last place
HALF_STATISTICS = {"float16": near(atol=2e-3), "bfloat16": near(atol=2e-2)}
# sums are kept in float32 and rounded once, shares of them again: two units in the last place;
# 2**-24 is the spacing near 0 of float16
HALF_REDUCTIONS = {"float16": near(2.0**-9, 2.0**-24), "bfloat16": near(2.0**-6, 2.0**-24)}
# shares of a row, which add up to 1 after each has been rounded
HALF_SHARES = near(1e-2)

# operands of products are rounded once on every way through a network: units in the last place
# of the low type, two where terms cancel a digit
MIXED = {"tf32": 2.0**-8, "fp16": 2.0**-8, "bf16": 2.0**-5}
# the same by another order of sums, which moves few operands to the neighbour
MIXED_ORDER = {"tf32": 2.0**-10, "fp16": 2.0**-10, "bf16": 2.0**-7}
# losses of training steps in mixed precision beside those in float32: what users are promised
MIXED_LOSSES = about(rel=0.01)
# losses of four training steps in float32, long sums of products in another order: not yet
# measured on a GPU; normalising amplifies roundings of 1e-6 by two digits or three
SPLIT_LOSSES = about(rel=1e-3)

# --- Other implementations, in float32, and stored results ---

# whole networks of images against onnxruntime, in units of the largest number
NETWORK = 1e-4
# vectors of length 1 of a network of sentences, against NumPy in float64
SENTENCE_VECTORS = near(atol=1e-6)
# published cases of operators: the package's own share; of halves, two units in the last place
ONNX_CASES = near(1e-3, 1e-6)
ONNX_HALF = near(2.0**-9, 2.0**-11)
# stored results of whole models: the package's own bounds
ONNX_STORED = near(1e-3, 1e-7)
# a model that is saved and run by onnxruntime; in halves it rounds in other places
SAVED_FLOATS = near(1e-5, 1e-5)
SAVED_HALVES = near(2e-2, 2e-2)

# a step of a library for another processor, which fuses products and sums or not
OTHER_PROCESSORS = near(2e-4, 2e-6)

# --- Random programs ---

# float64, compiled against interpreted, in units of the largest number
FUZZ_TARGETS = 1e-9
# float64 loops: a body of few ops, as often as it runs
FUZZ_LOOPS = 1e-8
# float64 derivatives against finite differences, in units of the largest number
FUZZ_SLOPES = 2e-5
# float64 derivatives where other branches are spoilt against where none is
FUZZ_GUARDED = 1e-7
# float32 formulas of exponentials: what is right as written; sums that nearly cancel are left out
FUZZ_EXPONENTS = 1e-3
FUZZ_ZERO = 1e-6
# float32 gathers and scatters, sums of few terms; slopes have no sums that cancel
FUZZ_INDEXED = near(1e-6, 1e-6)
FUZZ_INDEXED_SLOPES = near(1e-6)
# float32, operators of ONNX against onnxruntime; saved loops, which run the same ops
FUZZ_RUNTIMES = near(1e-4, 1e-5)
FUZZ_SAVED = near(1e-6, 1e-7)

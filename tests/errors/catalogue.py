"""Programs with a mistake each, of the kinds that people make, and what mends them.

`errors_page.py` runs them and prints docs/errors.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from graphc import errors


@dataclass(frozen=True)
class Mistake:
    """A program that raises, and the cure."""

    kind: type[Exception]
    title: str
    program: str
    cure: str


MISTAKES = (
    Mistake(
        errors.ShapeError, "Matrices that do not fit",
        """
x = gx.input("x", ("batch", 784))
w = gx.parameter("w", (10, 784))
h = x @ w
""",
        "The message has both operands with their shapes and the lines that made them; the hint"
        " names what would fit. Layers make their weights from the shape of what they are called"
        " on, so with `gx.nn.Dense(10)` there is nothing to get wrong.",
    ),
    Mistake(
        errors.ShapeError, "Operands that do not broadcast",
        """
x = gx.input("x", ("batch", 10))
bias = gx.parameter("bias", (12,))
y = x + bias
""",
        "Axes are aligned at the end; sizes are equal, or one of them is 1.",
    ),
    Mistake(
        errors.ShapeError, "Two dims that need not be equal",
        """
x = gx.input("x", ("batch", 10))
y = gx.input("y", ("samples", 10))
z = x - y
""",
        "A named dim is equal to itself only. Give both inputs the same name if the sizes are the"
        " same at every call.",
    ),
    Mistake(
        errors.ShapeError, "Another number of elements",
        """
image = gx.input("image", ("batch", 28, 28))
x = image.reshape(-1, 28 * 29)
""",
        "Count the elements; one size may be -1. `gx.nn.Flatten()` and `gx.flatten` keep the"
        " number right by themselves.",
    ),
    Mistake(
        errors.ShapeError, "Floats where integers belong",
        """
logits = gx.input("logits", ("batch", 10))
labels = gx.input("labels", ("batch",))
loss = gx.nn.softmax_cross_entropy(logits, labels)
""",
        "Class numbers are integers; floats are probabilities of every class. An input is float32"
        ' unless it says something else: `gx.input("labels", ("batch",), dtype="int32")`.',
    ),
    Mistake(
        errors.ShapeError, "A carry that grows",
        """
xs = gx.input("xs", (5, 3))
last, ys = gx.scan(lambda carry, x: (gx.concat([carry, x]), x), gx.zeros((3,)), xs)
""",
        "What a loop carries has one shape and dtype for all iterations. Collect what grows as"
        " `ys`.",
    ),
    Mistake(
        errors.ShapeError, "An array of another shape in a call",
        """
x = gx.input("x", ("batch", 784))
f = gx.compile([x], x * 2.0)
f(np.zeros((32, 28, 28), np.float32))
""",
        "Reshape the array: `images.reshape(-1, 784)`.",
    ),
    Mistake(
        errors.ShapeError, "Inputs that disagree about a dim",
        """
x = gx.input("x", ("batch", 4))
t = gx.input("t", ("batch",), dtype="int32")
loss = gx.compile([x, t], gx.nn.softmax_cross_entropy(x, t).mean())
loss(np.zeros((32, 4), np.float32), np.zeros(31, np.int32))
""",
        "Both arrays hold a batch, of different sizes: look at where they were cut.",
    ),
    Mistake(
        errors.DTypeError, "Bits of floats",
        """
x = gx.input("x", (3,))
small = x > 0.0 & x < 1.0
""",
        "`&` binds more tightly than comparisons: `(x > 0.0) & (x < 1.0)`.",
    ),
    Mistake(
        errors.DTypeError, "An array of another dtype in a call",
        """
t = gx.input("t", ("batch",), dtype="int32")
f = gx.compile([t], t + 1)
f(np.array([0.5, 1.5]))
""",
        "float64 is taken for float32 and int64 for int32, where the values fit; floats are never"
        " cut to integers. Convert the array: `labels.astype(np.int32)`.",
    ),
    Mistake(
        errors.AxisError, "An axis that is not there",
        """
x = gx.input("x", ("batch", 10))
y = gx.sum(x, axis=2)
""",
        "Axes count from 0, or back from -1.",
    ),
    Mistake(
        errors.NameError, "A missing argument",
        """
x = gx.input("x", (3,))
t = gx.input("t", (3,))
f = gx.compile([x, t], x * t)
f(np.ones(3, np.float32))
""",
        "Give every input, in order or by name: `f(x=..., t=...)`.",
    ),
    Mistake(
        errors.NameError, "Two parameters of one name",
        """
a = gx.parameter("w", (3,))
b = gx.parameter("w", (3,))
f = gx.compile([], a + b)
""",
        'Names are unique within one function. Put layers into `with gx.name_scope("left"):`, or'
        " name them.",
    ),
    Mistake(
        errors.NameError, "An input that nobody gives",
        """
x = gx.input("x", (3,))
y = gx.input("y", (3,))
f = gx.compile([x], x + y)
""",
        "List every input that the outputs are computed from, or make it a parameter or a"
        " constant.",
    ),
    Mistake(
        errors.GradientError, "The gradient of something that is no number",
        """
x = gx.input("x", ("batch", 3))
w = gx.parameter("w", (3,))
updates = gx.optim.SGD(0.1).minimize((x @ w) ** 2)
""",
        "Losses reduce nothing but the axis that they are defined over: take `.mean()` or"
        " `.sum()`.",
    ),
    Mistake(
        errors.GradientError, "A loss that does not depend on the parameter",
        """
x = gx.input("x", (3,))
w = gx.parameter("w", (3,))
loss = gx.sum(x * gx.stop_gradient(w))
slope = gx.grad(loss, w)
""",
        'Where this is meant, say `gx.grad(loss, w, unreachable="zero")`.',
    ),
    Mistake(
        errors.ArgumentError, "Python's if on a tensor",
        """
x = gx.input("x", ())
if x > 0.0:
    y = x
""",
        "A tensor has no value while the graph is defined. `gx.where` chooses between values,"
        " `gx.cond` between computations, `gx.while_loop` repeats one.",
    ),
    Mistake(
        errors.ArgumentError, "A word that is none of the choices",
        """
layer = gx.nn.Dense(10, activation="rleu")
y = layer(gx.input("x", ("batch", 4)))
""",
        "The message lists what there is.",
    ),
    Mistake(
        errors.UnsupportedError, "Something that is not there yet",
        """
x = gx.input("x", ("batch", 3))
f = gx.compile([x], x * 2.0, microbatches=4)
""",
        "The hint has another way, where there is one; the roadmap has what is planned.",
    ),
    Mistake(
        errors.RuntimeCheckError, "A label outside",
        """
logits = gx.input("logits", ("batch", 3))
labels = gx.input("labels", ("batch",), dtype="int32")
loss = gx.nn.softmax_cross_entropy(logits, labels).mean()
f = gx.compile([logits, labels], loss)
f(np.zeros((2, 3), np.float32), np.array([0, 3], np.int32))
""",
        "Three classes have the labels 0, 1, 2. Nothing was updated: the next call goes on from"
        " the same parameters.",
    ),
    Mistake(
        errors.RuntimeCheckError, "An index outside",
        """
table = gx.parameter("table", (100, 8))
ids = gx.input("ids", ("batch",), dtype="int32")
rows = gx.compile([ids], table[ids])
rows(np.array([3, 100], np.int32))
""",
        "Indices go from -100 to 99 here. Ids that are too large often come from a vocabulary"
        " without a place for unknown words.",
    ),
    Mistake(
        errors.RuntimeCheckError, "A condition of one's own",
        """
x = gx.input("x", ("batch",))
y = gx.log(gx.check(x, x > 0.0, "log needs positive numbers"))
f = gx.compile([x], y)
f(np.array([1.0, -2.0], np.float32))
""",
        "`gx.check` guards a value; the message is yours. Nothing was updated.",
    ),
    Mistake(
        errors.RuntimeCheckError, "A loop that does not end",
        """
x = gx.input("x", ())
y = gx.while_loop(lambda v: v > 1.0, lambda v: v * 0.5, x, max_steps=10)
f = gx.compile([x], y)
f(np.float32(1e6))
""",
        "Raise `max_steps`, or look at why the condition stays true.",
    ),
    Mistake(
        errors.MemoryBudgetError, "More temporaries than allowed",
        """
x = gx.input("x", (256, 256))
f = gx.compile([x], (x @ x) @ x, memory="64kB")
f(np.zeros((256, 256), np.float32))
""",
        "The message has what is needed. Smaller batches and 16-bit floats need less;"
        " `step.memory` lists what lives when.",
    ),
    Mistake(
        errors.FormatError, "A file of something else",
        """
with open("model.safetensors", "w") as file:
    file.write("not a model")
gx.load("model.safetensors")
""",
        "Files that do not exist or may not be read are the usual `OSError`; this is a file whose"
        " content is wrong, often one that was cut short.",
    ),
)  # fmt: skip

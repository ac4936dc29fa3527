"""The zoo: published numbers of parameters, shapes, and a step that learns for each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import graphc as gx
from graphc import models
from graphc.errors import ArgumentError, ShapeError
from graphc.testing import assert_close


def pictures(size: int, channels: int = 3, name: str = "x") -> Any:
    """An input of square pictures."""
    return gx.input(name, ("batch", size, size, channels))


def tokens(time: int, name: str = "ids") -> Any:
    """An input of tokens."""
    return gx.input(name, ("batch", time), "int32")


# As published, or as the reference implementations of PyTorch and Keras count them: those that
# learn.
COUNTS: dict[str, tuple[Callable[[], Any], Callable[[], Any], int, tuple[Any, ...]]] = {
    "logistic": (models.logistic, lambda: pictures(28, 1), 7_850, (10,)),
    "mlp": (models.mlp, lambda: pictures(28, 1), 785 * 128 + 129 * 10, (10,)),
    "lenet5": (models.lenet5, lambda: pictures(28, 1), 61_706, (10,)),
    "m19_cnn": (models.m19_cnn, lambda: pictures(28, 1), 596_042, (10,)),
    "alexnet": (models.alexnet, lambda: pictures(227), 60_965_224, (1000,)),
    "zfnet": (models.zfnet, lambda: pictures(225), 62_357_608, (1000,)),
    "vgg16": (models.vgg16, lambda: pictures(224), 138_357_544, (1000,)),
    "googlenet": (models.googlenet, lambda: pictures(224), 6_998_552, (1000,)),
    "resnet20": (models.resnet20, lambda: pictures(32), 272_474, (10,)),
    "resnet50": (models.resnet50, lambda: pictures(224), 25_557_032, (1000,)),
    "resnet152": (models.resnet152, lambda: pictures(224), 60_192_808, (1000,)),
    "mobilenet": (models.mobilenet, lambda: pictures(224), 4_231_976, (1000,)),
    "unet": (models.unet, lambda: pictures(64, 1), 31_030_593, (64, 64, 1)),
    "gpt": (models.gpt, lambda: tokens(8), 124_439_808, (8, 50257)),
    "vit": (models.vit, lambda: pictures(224), 86_567_656, (1000,)),
    "dqn": (lambda: models.dqn(4), lambda: pictures(84, 4), 1_686_180, (4,)),
    "pix2pix": (models.pix2pix_generator, lambda: pictures(256), 54_413_955, (256, 256, 3)),
    "patches": (models.patch_discriminator, lambda: pictures(256, 6), 2_768_705, (30, 30, 1)),
}


@pytest.mark.parametrize("name", COUNTS)
def test_numbers_of_parameters(name: str) -> None:
    make, given, count, shape = COUNTS[name]
    net = make()
    y = net(given())
    assert y.shape[1:] == shape
    assert sum(p.size for p in net.parameters if p.trainable) == count


def test_bert_has_the_published_number_of_parameters() -> None:
    net = models.bert()
    features, summary = net(tokens(8))
    assert (features.shape[1:], summary.shape[1:]) == ((8, 768), (768,))
    assert sum(p.size for p in net.parameters) == 109_482_240


def classified(net: Any, x: Any) -> Any:
    """A loss of classes that are all 0."""
    logits = net(x)
    return gx.nn.softmax_cross_entropy(logits, gx.zeros(logits.shape[:-1], "int32")).mean()


def squares(net: Any, *xs: Any) -> Any:
    """A loss that is least at 1."""
    return ((net(*xs) - 1.0) ** 2).mean()


def translated() -> Any:
    """A loss of a small translator."""
    net = models.Seq2Seq(11, 13, units=16, embedding=8)
    return classified(lambda x: net(x, tokens(5, "target")), tokens(7))


def captioned() -> Any:
    """A loss of a small captioner."""
    net = models.Captioner(11, units=16, filters=4)
    return classified(lambda x: net(x, tokens(5)), pictures(16))


def spoken() -> Any:
    """The CTC loss of a small recogniser."""
    logits = models.ctc_speech(5, units=8, layers=1)(gx.input("x", ("batch", 12, 6)))
    labels = gx.zeros((logits.shape[0], 2), "int32") + 1
    return gx.nn.ctc(logits, labels, blank=5).mean()


def word_vectors() -> Any:
    """A loss of skip-grams."""
    words = [gx.input(n, ("batch",), "int32") for n in ("words", "contexts")]
    return models.SkipGram(10, 8)(*words, tokens(3, "noise")).mean()


STEPS: dict[str, Callable[[], Any]] = {
    "logistic": lambda: classified(models.logistic(), pictures(8, 1)),
    "mlp": lambda: classified(models.mlp([8, 8], dropout=0.1), pictures(4, 1)),
    "lenet5": lambda: classified(models.lenet5(), pictures(28, 1)),
    "resnet": lambda: classified(models.resnet_cifar(8, filters=4), pictures(8)),
    "mobilenet": lambda: classified(models.mobilenet(10, width=0.1), pictures(32)),
    "unet": lambda: squares(models.unet(1, 4, 2), pictures(8, 1)),
    "gpt": lambda: classified(models.gpt(11, 8, 1, 2, 8), tokens(8)),
    "bert": lambda: squares(lambda x: models.bert(11, 8, 1, 2, 8)(x)[1], tokens(8)),
    "vit": lambda: classified(models.vit(10, 4, 1, 2, 8), pictures(8)),
    "char_lstm": lambda: classified(models.char_lstm(11, 8, 2, 4, dropout=0.1), tokens(6)),
    "seq2seq": translated,
    "captioner": captioned,
    "ctc_speech": spoken,
    "skip_gram": word_vectors,
    "vae": lambda: models.VAE(16, 2, 8)(gx.nn.sigmoid(gx.input("x", ("batch", 16)))).mean(),
    "dcgan": lambda: squares(
        lambda z: models.dcgan_discriminator(16, 4)(models.dcgan_generator(16, 1, 4)(z)),
        gx.input("z", ("batch", 6)),
    ),
    "diffusion": lambda: squares(
        models.diffusion_unet(1, 8, 1), pictures(8, 1), gx.input("t", ("batch",))
    ),
    "cogan": lambda: sum(
        ((y - 0.5) ** 2).mean()
        for y in models.cogan_generator(16, 1, 4)(gx.input("z", ("batch", 6)))
    ),
    "progressive": lambda: squares(
        models.progressive_generator(16, 1, 16), gx.input("z", ("batch", 6)), gx.input("fade", ())
    ),
    "stylegan": lambda: squares(models.stylegan_generator(16, 1, 16), gx.input("z", ("batch", 6))),
    "pix2pix": lambda: squares(models.pix2pix_generator(3, 4, 3), pictures(16)),
    "patches": lambda: squares(models.patch_discriminator(4, 1), pictures(16)),
    "cyclegan": lambda: squares(models.cyclegan_generator(3, 4, 1), pictures(8)),
    "dqn": lambda: squares(models.dqn(3), pictures(84, 4)),
}


@pytest.mark.parametrize("name", STEPS)
def test_a_step_of_each_lowers_its_loss(name: str) -> None:
    gx.seed(5)
    loss = STEPS[name]()
    updates = gx.optim.Adam(3e-3).minimize(loss)
    inputs = [n.handle for n in gx.ir.graph.topological([loss.node]) if n.op.name == "input"]
    step = gx.compile(inputs, loss, updates)
    rng = np.random.default_rng(0)
    arrays = [
        rng.integers(0, 10, [4, *x.shape[1:]]).astype("int32") if x.dtype.is_integer
        else rng.random([4, *x.shape[1:]] if x.shape else [], np.float32)
        for x in inputs
    ]  # fmt: skip
    values = [float(step(*arrays)) for _ in range(8)]
    assert np.isfinite(values).all()
    assert min(values[4:]) < values[0]


def test_a_generator_that_grows_begins_where_the_smaller_one_ended() -> None:
    """At fade 0 the new picture is the old one, twice as large."""
    net, z = models.progressive_generator(16, 1, 16), gx.input("z", ("batch", 6))
    noise = np.random.default_rng(0).normal(size=(3, 6))
    sizes = [net(z, size=8), net(z, 0.0), net(z, size=4)]
    small, large, first = gx.compile([z], sizes)(noise)
    assert first.shape == (3, 4, 4, 1)
    assert_close(large, small.repeat(2, axis=1).repeat(2, axis=2))
    with pytest.raises(ArgumentError, match="grows to 16, not 32"):
        net(z, size=32)
    with pytest.raises(ArgumentError, match=r"size must be 4, 8, 16, ..., got 12"):
        models.stylegan_generator(12)


def test_pictures_of_a_couple_share_their_first_layers() -> None:
    net = models.cogan_generator(16, 1, 4)
    z = gx.input("z", ("batch", 6))
    first, second = net(z)

    def named(y: Any) -> set[str]:
        return set(gx.compile([z], y).parameters)

    shared = named(first) & named(second)
    own = named(first) - shared
    assert first.shape[1:] == second.shape[1:] == (16, 16, 1)
    assert len(shared) > 3
    assert len(own) > 3


def test_decoding_goes_on_where_training_stopped() -> None:
    """The logits of one step after the other are those of the whole sequence."""
    gx.seed(1)
    net = models.Seq2Seq(11, 13, units=16, embedding=8)
    source, target = tokens(7), tokens(4, "target")
    whole = net(source, target)
    memory, state = net.encode(source)
    steps = []
    for i in range(4):
        scores, state, memory = net.step(target[:, i], state, memory)
        steps.append(scores)
    a, b = gx.compile([source, target], [whole, gx.stack(steps, axis=1)])(
        np.arange(14, dtype="int32").reshape(2, 7) % 11, np.arange(8, dtype="int32").reshape(2, 4)
    )
    assert_close(a, b, tolerance="sums", floor=1.0)


def test_greedy_captions_are_decoded_inside_the_graph() -> None:
    net = models.Captioner(11, units=16, filters=4)
    x = pictures(16)
    found, scores = gx.decode.greedy(
        net.step, gx.zeros((x.shape[0],), "int32"), net.look(x), length=5
    )
    words, sums = gx.compile([x], [found, scores])(np.ones((3, 16, 16, 3), "float32"))
    assert words.shape == (3, 5)
    assert np.isfinite(sums).all()


def test_gram_matrices_and_losses_of_pictures() -> None:
    a, b = np.random.default_rng(0).normal(size=(2, 2, 3, 4, 5))
    x, y = pictures_of(a, "x"), pictures_of(b, "y")
    grams = [np.einsum("bhwi,bhwj->bij", v, v) / 12 for v in (a, b)]
    outputs = [models.gram(x), models.style_loss([x, x], [y, x]), models.content_loss([x], [y]),
               models.dream_loss([x, y])]  # fmt: skip
    found = gx.compile([x, y], outputs)(a, b)
    assert_close(found[0], grams[0])
    assert_close(found[1], ((grams[0] - grams[1]) ** 2).mean())
    assert_close(found[2], ((a - b) ** 2).mean())
    assert_close(found[3], -(a**2).mean() - (b**2).mean())


def pictures_of(array: Any, name: str) -> Any:
    """An input for an array."""
    return gx.input(name, array.shape, "float64")


def test_refusals() -> None:
    with pytest.raises(ArgumentError, match="depth must be 6 n"):
        models.resnet_cifar(21)
    with pytest.raises(ShapeError, match="a known time of at most 8"):
        models.gpt(11, 8, 1, 2, 8)(tokens(9))
    with pytest.raises(ShapeError, match=r"needs .batch, height, width, channels"):
        models.gram(gx.input("x", (2, 3)))
    with pytest.raises(ArgumentError, match="as many layers of both: 1 and 2"):
        models.style_loss([pictures(8)], [pictures(8)] * 2)
    with pytest.raises(ArgumentError, match="needs lists of tensors"):
        models.content_loss(pictures(8), pictures(8))


BY_METHODS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "gpt": (
        lambda: models.gpt(11, 8, 2, 2, 8),
        lambda net: net.step(tokens(3), *net.start(tokens(3).shape[0])),
        lambda net: net(tokens(8)),
    ),
    "char_lstm": (
        lambda: models.char_lstm(11, 8, 2, 4),
        lambda net: net.step(tokens(3), *net.start(tokens(3).shape[0])),
        lambda net: net(tokens(8)),
    ),
    "seq2seq": (
        lambda: models.Seq2Seq(11, 13, units=16, embedding=8),
        lambda net: net.step(tokens(3)[:, 0], *reversed(net.encode(tokens(7)))),
        lambda net: net(tokens(7), tokens(5, "target")),
    ),
    "vae": (
        lambda: models.VAE(16, 2, 8),
        lambda net: net.decode(net.encode(gx.input("x", ("batch", 16)))[0]),
        lambda net: net(gx.input("x", ("batch", 16))),
    ),
    "captioner": (
        lambda: models.Captioner(11, units=16, filters=4),
        lambda net: net.step(tokens(3)[:, 0], *net.look(pictures(16))),
        lambda net: net(pictures(16), tokens(5)),
    ),
}


@pytest.mark.parametrize("name", BY_METHODS)
def test_parameters_have_one_name_whichever_method_is_called_first(name: str) -> None:
    make, decode, whole = BY_METHODS[name]
    first, second = make(), make()
    decode(first)
    whole(second)
    ours, theirs = ({p.name.partition("/")[2] for p in net.parameters} for net in (first, second))
    assert ours == theirs


def test_an_lstm_goes_on_where_a_piece_of_text_ended() -> None:
    net = models.char_lstm(11, 8, 2, 4)
    x = tokens(7)
    first, *state = net.step(x[:, :4], *net.start(x.shape[0]))
    second, *state = net.step(x[:, 4], *state)
    third, *_ = net.step(x[:, 5:], *state)
    parts = gx.concat([first, second[:, None], third], axis=1)
    whole, found = gx.compile([x], [net(x), parts], target="interpret")(
        np.arange(14, dtype="int32").reshape(2, 7) % 11
    )
    assert_close(found, whole, tolerance="sums", floor=1.0)
    with pytest.raises(gx.errors.ShapeError, match=r"a state of 4 parts, got .* and 3 parts"):
        net.step(x, *state[:3])


def test_translators_see_nothing_of_padding() -> None:
    gx.seed(1)
    net = models.Seq2Seq(11, 13, units=16, embedding=8)
    source = gx.input("source", ("batch", "length"), "int32")
    inside = gx.input("inside", source.shape, "bool")
    target = tokens(4, "target")
    memory, state = net.encode(source, inside)
    scores, _, memory, mask = net.step(target[:, 0], state, memory, inside)
    assert mask is inside
    outputs = [net(source, target, inside), scores]
    function = gx.compile([source, inside, target], outputs, target="interpret")
    ids = np.arange(10, dtype="int32").reshape(2, 5)
    said = np.arange(8, dtype="int32").reshape(2, 4)
    short = function(ids, np.ones((2, 5), bool), said)
    padded = np.concatenate([ids, np.full((2, 3), 7, "int32")], axis=1)
    long = function(padded, np.arange(8) < np.full((2, 1), 5), said)
    for a, b in zip(short, long):
        assert_close(a, b, tolerance="sums", floor=1.0)
    assert_close(short[1], short[0][:, 0], tolerance="sums", floor=1.0)

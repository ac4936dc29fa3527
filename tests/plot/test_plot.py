"""Pictures show the numbers that they were given, and say what they cannot show."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import graphc as gx

pytest.importorskip("matplotlib", reason="needs Matplotlib (the extra plots)")

RUN = {"loss": [3.0, 2.0, 1.0], "val_loss": [3.0, 1.5, 2.5], "accuracy": [0.1, 0.5, 0.9],
       "val_accuracy": [0.2, 0.6, 0.5], "seconds": [1.0, 1.0, 1.0]}  # fmt: skip


def lines(axes: Any) -> list[list[float]]:
    return [list(line.get_ydata()) for line in axes.get_lines()]


def test_history_has_a_panel_for_each_number_with_its_validation_and_best_epoch() -> None:
    loss, accuracy = gx.plot.history(RUN).axes
    assert (loss.get_title(), accuracy.get_title()) == ("loss", "accuracy")
    assert lines(loss) == [RUN["loss"], RUN["val_loss"], [1.5]]
    assert lines(accuracy) == [RUN["accuracy"], RUN["val_accuracy"], [0.6]]
    assert list(loss.get_lines()[2].get_xdata()) == [2]


def test_history_takes_what_fit_returns_and_chosen_names() -> None:
    history = gx.History()
    history.add({"loss": 1.0, "seconds": 1.0})
    assert [a.get_title() for a in gx.plot.history(history).axes] == ["loss"]
    (axes,) = gx.plot.history(RUN, "val_loss", log=True).axes
    assert axes.get_yscale() == "log"


def test_compare_draws_one_number_of_each_run() -> None:
    (axes,) = gx.plot.compare({"a": RUN, "b": [5.0, 4.0]}, "val_loss").axes
    assert lines(axes) == [RUN["val_loss"], [5.0, 4.0]]
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["a", "b"]


def test_rate_sweep_marks_the_suggestion_on_the_curve() -> None:
    rates, losses = np.array([1e-3, 1e-2, 1e-1]), np.array([2.0, 1.0, 9.0])
    (axes,) = gx.plot.rate_sweep(rates, losses, losses, suggestion=1e-2, divergence=1e-1).axes
    assert lines(axes)[3] == [1.0]
    assert axes.get_xscale() == "log"
    assert axes.get_ylim()[1] < 9.0  # how high it flies off is not shown


def test_confusion_matrix_writes_counts_and_colours_shares() -> None:
    axes = gx.plot.confusion_matrix([[8, 2], [0, 40]], classes=["cat", "dog"]).axes[0]
    assert [t.get_text() for t in axes.texts] == ["8", "2", "0", "40"]
    np.testing.assert_array_equal(axes.images[0].get_array(), [[0.8, 0.2], [0.0, 1.0]])
    assert axes.get_title() == "96.00% right"
    shares = gx.plot.confusion_matrix([[8, 2], [0, 40]], normalize=True).axes[0]
    assert [t.get_text() for t in shares.texts] == ["0.80", "0.20", "0", "1.00"]


def test_heatmap_names_rows_and_columns() -> None:
    axes = gx.plot.heatmap(np.eye(2), rows=["a", "b"], columns=["c", "d"]).axes[0]
    assert [t.get_text() for t in axes.get_yticklabels()] == ["a", "b"]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["c", "d"]


def test_filters_are_grey_about_zero_and_colours_of_three_channels() -> None:
    kernel = np.linspace(-1.0, 0.5, 3 * 3 * 2 * 4).reshape(3, 3, 2, 4)
    images = [a.images[0] for a in gx.plot.filters(kernel, channel=1).axes]
    assert len(images) == 4
    np.testing.assert_array_equal(images[2].get_array(), kernel[:, :, 1, 2])
    assert images[0].get_clim() == (-1.0, 1.0)
    kernel = np.linspace(-1.0, 1.0, 27).reshape(3, 3, 3, 1)
    (axes,) = gx.plot.filters(kernel).axes
    np.testing.assert_allclose(axes.images[0].get_array(), (kernel[..., 0] + 1.0) / 2.0)


def test_images_of_generators_come_from_minus_one_to_one() -> None:
    pictures = np.stack([np.full((2, 2, 3), v) for v in (-1.0, 0.0, 1.0)])
    figure = gx.plot.images(pictures, titles=["a", "b", "c"], columns=3)
    assert [a.images[0].get_array()[0, 0, 0] for a in figure.axes] == [0.0, 0.5, 1.0]
    assert gx.plot.images(np.zeros((1, 2, 2, 1), np.uint8)).axes[0].images[0].get_clim() == (0, 255)


def test_embedding_shows_principal_components_by_class() -> None:
    rng = np.random.default_rng(0)
    points = np.stack([9.0 * rng.normal(size=50), rng.normal(size=50), np.zeros(50)], axis=1)
    axes = gx.plot.embedding(points, labels=np.arange(50) % 2, words=["w"] * 50).axes[0]
    shown = np.concatenate([np.asarray(c.get_offsets()) for c in axes.collections])
    assert sorted(map(len, (c.get_offsets() for c in axes.collections))) == [25, 25]
    spread = np.concatenate([points[::2], points[1::2]])[:, 0]
    assert abs(np.corrcoef(shown[:, 0], spread)[0, 1]) > 0.99
    assert axes.get_xlabel().startswith("component 1: 9")
    assert len(axes.texts) == 50
    named = gx.plot.embedding(points, labels=["ab"[i % 2] for i in range(50)]).axes[0]
    assert [t.get_text() for t in named.get_legend().get_texts()] == ["a", "b"]


def test_decision_regions_of_probabilities_of_scores_and_of_a_compiled_function() -> None:
    points, labels = np.array([[-1.0, 0.0], [1.0, 0.0]]), [0, 1]
    figure = gx.plot.decision_regions(lambda p: 1.0 / (1.0 + np.exp(-p[:, :1])), points, labels)
    assert len(figure.axes) == 2  # with the scale of probabilities
    x = gx.input("x", ("n", 2))
    scores = gx.compile([x], gx.concat([-x, x], axis=1), target="interpret")
    assert len(gx.plot.decision_regions(scores, points, labels).axes) == 1


def test_histograms_spread_each_bin_over_the_new_ones() -> None:
    flat = (np.array([10.0, 10.0]), np.array([0.0, 1.0, 2.0]))
    figure = gx.plot.histograms({"w": [flat, np.arange(5)], "b": [np.zeros(3)]})
    assert [a.get_title() for a in figure.axes[:2]] == ["w", "b"]
    first = figure.axes[0].get_lines()[0].get_ydata()
    inner = first[(first > 0.99 * first.max())]
    assert len(inner) > 30  # flat where the counts are


def valley(points: Any) -> Any:
    return points[:, 0] ** 2 + 10.0 * points[:, 1] ** 2


def test_trajectories_stay_in_sight_though_one_diverges(tmp_path: Path) -> None:
    steps = np.arange(30)[:, None]
    good = np.array([[1.0, 1.0]]) * 0.8**steps
    bad = np.array([[1.0, 1.0]]) * (-40.0) ** steps
    figure = gx.plot.trajectories(valley, {"good": good, "bad": np.append(bad, [[np.nan] * 2], 0)})
    low, high = figure.axes[0].get_xlim()
    assert -10.0 < low < 0.0 < high < 20.0
    assert [len(line.get_xdata()) for line in figure.axes[0].get_lines()] == [30, 1, 30, 1, 1]


def test_an_animation_is_a_gif_of_its_frames(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    path = tmp_path / "race.gif"
    way = np.array([[1.0, 1.0]]) * 0.5 ** np.arange(5)[:, None]
    gx.plot.trajectories(valley, {"sgd": way}, path=path, frames=3, seconds=0.3)
    with image.open(path) as picture:
        assert picture.n_frames == 3
        assert picture.info["duration"] == 100


def test_a_figure_is_saved_and_shows_itself_in_a_notebook(tmp_path: Path) -> None:
    figure = gx.plot.contours(valley, ((-1, 1), (-1, 1)), path=tmp_path / "valley.svg")
    assert "<svg" in (tmp_path / "valley.svg").read_text(encoding="utf-8")
    assert figure._repr_png_().startswith(b"\x89PNG")


def test_parameters_are_taken_for_their_values() -> None:
    kernel = gx.parameter("plotted", value=np.ones((3, 3, 1, 2), "float32"))
    assert len(gx.plot.filters(kernel).axes) == 2


WRONG: dict[str, Any] = {
    "history: needs a history of gx.fit or a dict of lists": lambda: gx.plot.history({}),
    "no accuracy among loss": lambda: gx.plot.history({"loss": [1.0]}, ["accuracy"]),
    "filters: kernel must have 4 axes, got shape (3, 3)": lambda: gx.plot.filters(np.ones((3, 3))),
    "channel must be 0 to 0, got 1": lambda: gx.plot.filters(np.ones((3, 3, 1, 1)), channel=1),
    "images: needs 1, 3 or 4 channels last": lambda: gx.plot.images(np.ones((2, 3, 3, 5))),
    "2 rows but 3 columns": lambda: gx.plot.confusion_matrix(np.ones((2, 3))),
    "3 points but 2 labels": lambda: gx.plot.embedding(np.ones((3, 2)), labels=[0, 1]),
    "bounds must be ((least x": lambda: gx.plot.contours(valley, ((1, 0), (0, 1))),
    "must give a row for each of": lambda: gx.plot.contours(lambda p: p[:5, 0], ((0, 1), (0, 1))),
    "not finite at any point": lambda: gx.plot.contours(
        lambda p: np.full(len(p), np.nan), ((0, 1), (0, 1))
    ),
    "must be finite and (steps, 2)": lambda: gx.plot.trajectories(valley, {"a": np.ones((3, 3))}),
    "1 counts need 2 edges": lambda: gx.plot.histograms([([1.0], [0.0, 1.0, 2.0])]),
    "there is nothing to show": lambda: gx.plot.histograms([]),
    "run.txt must end in one of .png": lambda: gx.plot.history(RUN, path="run.txt"),
    "there is no folder nowhere": lambda: gx.plot.history(RUN, path="nowhere/run.png"),
    "must be values, got the tensor": lambda: gx.plot.heatmap(gx.input("x", (2, 2))),
    "must be numbers, got <U1": lambda: gx.plot.heatmap([["a"]]),
}


@pytest.mark.parametrize("message", WRONG)
def test_wrong_arguments(message: str) -> None:
    with pytest.raises(gx.errors.ArgumentError) as caught:
        WRONG[message]()
    assert message in str(caught.value)


def test_without_matplotlib_it_says_what_to_install() -> None:
    program = """
import sys
sys.modules["matplotlib"] = None
import graphc as gx
try:
    gx.plot.history({"loss": [1.0]})
except gx.errors.UnsupportedError as error:
    print(error)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60
    )
    assert "gx.plot needs Matplotlib" in ran.stdout
    assert "[plots]" in ran.stdout

"""Pictures of what happens: runs, learning rates, confusions, filters, embeddings, landscapes.

Every function returns the Matplotlib figure, which shows itself in a notebook, and saves it where
`path` says (.png, .svg, .pdf):

    gx.plot.history(gx.fit(step, data, epochs=20), path="run.png")

Arguments are values: arrays, parameters (their values are taken), histories. Needs Matplotlib:
pip install 'graphc-compiler[plots]'.
"""

from graphc.frontend.arguments import check_all
from graphc.plot.grids import filters, images
from graphc.plot.landscape import contours, trajectories
from graphc.plot.matrices import confusion_matrix, heatmap
from graphc.plot.points import decision_regions, embedding
from graphc.plot.ridges import histograms
from graphc.plot.runs import compare, history, rate_sweep

__all__ = [
    "compare", "confusion_matrix", "contours", "decision_regions", "embedding", "filters",
    "heatmap", "histograms", "history", "images", "rate_sweep", "trajectories",
]  # fmt: skip

check_all(globals(), __all__)

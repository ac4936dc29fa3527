"""Paint one picture in the style of another: a frozen classifier judges, the picture learns.

    python examples/style_transfer.py --out DIR
    python examples/style_transfer.py --data DIR --content a.png --style b.png    # CIFAR-10's eyes

What is in a picture is what the later layers of a classifier see in it; its style is which features
go together, wherever they are (Gatys, Ecker and Bethge 2016). The classifier is that of dreams.py,
trained first; then its weights are no variables of the step, the pixels are.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from common import parser, show
from dreams import trained

import graphc as gx


def roughness(x: gx.Tensor) -> gx.Tensor:
    """How much neighbours differ: total variation, the mean of squares."""
    down, right = x[:, 1:] - x[:, :-1], x[:, :, 1:] - x[:, :, :-1]
    return (down**2).mean() + (right**2).mean()


def read(path: Path | None, made: Any) -> Any:
    """A picture (1, height, width, 3) from -1 to 1, of a file or made up."""
    if path is None:
        return made
    return gx.data.image(path).astype("float32")[None] / 127.5 - 1.0


def main() -> None:
    """Train the eyes, then the picture."""
    options = parser(__doc__, epochs=8)
    options.add_argument("--count", type=int, default=1500, help="made-up pictures for the eyes")
    options.add_argument("--content", type=Path, metavar="FILE", help="what is painted")
    options.add_argument("--style", type=Path, metavar="FILE", help="how it is painted")
    options.add_argument("--steps", type=int, default=150)
    options.add_argument("--strength", type=float, default=5.0, help="of the style")
    chosen = options.parse_args()
    eyes, test = trained(chosen)
    content, style = read(chosen.content, test[1:2]), read(chosen.style, test[6:7])

    a, b = gx.constant(content), gx.constant(style)
    picture = gx.parameter("picture", value=content)
    seen, wanted, painted = (eyes.features(p) for p in (picture, a, b))
    apart = gx.models.content_loss(seen[2:], wanted[2:])
    unlike = gx.models.style_loss(seen, painted)
    loss = apart + chosen.strength * unlike + 0.1 * roughness(picture)
    updates = gx.optim.Adam(0.03).minimize(loss, parameters=[picture])
    step = gx.compile(
        [], {"content": apart, "style": unlike}, updates, threads=chosen.threads, name="paint"
    )
    first = step()
    for _ in range(chosen.steps):
        last = step()
    print(f"style: {float(first['style']):.4f} before, after {float(last['style']):.4f}")
    print(f"content moved by {float(last['content']):.4f}")
    share = float(last["style"]) / float(first["style"])
    print(f"share of the difference of styles that is left {share:.4f}")
    result = np.clip(picture.value, -1.0, 1.0)
    same = content.shape == style.shape
    show(step, chosen.out, painted=np.concatenate([content, style, result]) if same else result)


if __name__ == "__main__":
    main()

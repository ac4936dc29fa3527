"""How this copy of graphc was installed, and so how what it lacks is installed."""

from __future__ import annotations

import json
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import unquote, urlparse

DISTRIBUTION = "graphc-compiler"  # `graphc` is another project on the package index


def install_hint(extra: str, package: str) -> str:
    """The command that installs an extra; of it, `package` is what is missing here.

    From the checkout that this copy runs in or was installed from, else from the package index;
    of a copy that nobody installed, the package alone.
    """
    home = Path(__file__).resolve().parent.parent
    if is_checkout(home):
        return f"pip install -e '{_shown(home)}[{extra}]'"
    found = _distribution()
    if found is None:
        return f"pip install {package}"
    source = local_source(found.read_text("direct_url.json"))
    return f"pip install '{DISTRIBUTION if source is None else _shown(source)}[{extra}]'"


def is_checkout(folder: Path) -> bool:
    """Whether a folder holds our project file."""
    try:
        text = (folder / "pyproject.toml").read_text(encoding="utf-8")
    except OSError:
        return False
    return f'name = "{DISTRIBUTION}"' in text


def local_source(direct_url: str | None) -> Path | None:
    """The folder that a package was installed from, if it is still there (PEP 610)."""
    if direct_url is None:
        return None
    place = urlparse(json.loads(direct_url).get("url", ""))
    folder = Path(unquote(place.path))
    return folder if place.scheme == "file" and is_checkout(folder) else None


def _distribution() -> Distribution | None:
    try:
        return distribution(DISTRIBUTION)
    except PackageNotFoundError:
        return None


def _shown(folder: Path) -> str:
    return "." if folder == Path.cwd() else str(folder)

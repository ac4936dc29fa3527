"""SHA-256 digests: of files, and of the published sets as they are read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from graphc import origin as origins
from graphc.data.split import Part
from graphc.errors import ArgumentError, FormatError

# Of the bytes of all images, then of all labels as uint8: they do not depend on the files' format.
PUBLISHED = {
    "MNIST": (
        "edc0d1098aa497be14ace79ddd5171e5a3dcf9c4d196c015389203eb3ba1f59b",
        "c3f9adf9c66efb572b1f9326c3a511b45910c7173b97be66ceceeeeaef6b802b",
    ),
    "Fashion-MNIST": (
        "16d82e2b505296aa2b78bd5ea0992634f30419a4c97def7c907d154a35ac6157",
        "9f1ec356a747bfe4ebab3cfb722d3694c9ca737e2570f6f90cf31d7b6fd689d4",
    ),
    "CIFAR-10": (
        "f912919bdea371136f1aa4feed6beeca728015a5f08b1899a29c932a7e30be2b",
        "8193b3fbce55bec361cd1b8fd4880cb1649832dc4d6de6da1e7a21847a4843aa",
    ),
}


def verify(path: str | os.PathLike[str], sha256: str | Mapping[str, str]) -> None:
    """Raise FormatError unless a file, or every named file of a directory, has its SHA-256 digest.

    Digests are 64 hexadecimal digits, as sha256sum prints them: one for a file, {name: digest} for
    a directory.
    """
    top = Path(path)
    named = {top: sha256} if isinstance(sha256, str) else {top / n: d for n, d in sha256.items()}
    for file, wanted in named.items():
        if len(wanted) != 64 or set(wanted.lower()) - set("0123456789abcdef"):
            raise ArgumentError(
                f"verify: not a SHA-256 digest of 64 hexadecimal digits: {wanted!r}",
                origin=origins.find_origin(),
            )
        with file.open("rb") as content:
            found = hashlib.file_digest(content, "sha256").hexdigest()
        if found != wanted.lower():
            raise FormatError(
                f"{file}: the SHA-256 digest is {found}, not {wanted.lower()}",
                hint="the file is damaged, or another version",
            )


def verify_set(name: str, directory: str | os.PathLike[str], parts: tuple[Part, Part]) -> None:
    """Raise FormatError unless both parts of a set are those that were published."""
    for kind, (x, y), wanted in zip(("training", "test"), parts, PUBLISHED[name]):
        digest = hashlib.sha256(np.ascontiguousarray(x).data)
        digest.update(y.astype(np.uint8).data)
        if digest.hexdigest() != wanted:
            raise FormatError(
                f"{os.fspath(directory)}: the {kind} part is not that of {name}:"
                f" {len(x)} images, SHA-256 {digest.hexdigest()}, not {wanted}",
                hint="verify=False reads it all the same",
            )

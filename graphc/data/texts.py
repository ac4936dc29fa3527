"""Read text, pairs of sentences and captions; number what they consist of."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, FormatError
from graphc.ir.types import Array

PAD, UNKNOWN = "<pad>", "<unk>"


class Vocabulary:
    """Tokens and their numbers: the special ones first, then the most frequent.

    Sequences are texts (their tokens are characters) or lists of words. `size` bounds the number
    of tokens; what is left out is "<unk>", where that is among the special ones.
    """

    def __init__(
        self,
        sequences: Iterable[Sequence[str]],
        size: int | None = None,
        special: Sequence[str] = (PAD, UNKNOWN),
    ) -> None:
        given = [sequences] if isinstance(sequences, str) else sequences
        counts = Counter(chain.from_iterable(given))
        order = sorted((t for t in counts if t not in special), key=lambda t: (-counts[t], t))
        self.tokens: tuple[str, ...] = (*special, *order)[:size]
        self._numbers = {token: i for i, token in enumerate(self.tokens)}

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._numbers

    def encode(self, sequence: Sequence[str]) -> Array:
        """The numbers of a sequence, int32."""
        other = self._numbers.get(UNKNOWN)
        numbers = [self._numbers.get(token, other) for token in sequence]
        if None in numbers:
            raise ArgumentError(
                f"Vocabulary: no token is {sequence[numbers.index(None)]!r}",
                origin=origins.find_origin(),
                hint=f"special=({PAD!r}, {UNKNOWN!r}) has one for all others",
            )
        return np.array(numbers, np.int32)

    def decode(self, numbers: Iterable[int]) -> list[str]:
        """The tokens of numbers."""
        found = []
        for number in numbers:
            if not 0 <= number < len(self.tokens):
                raise ArgumentError(
                    f"Vocabulary: {number} is none of {len(self.tokens)} tokens",
                    origin=origins.find_origin(),
                )
            found.append(self.tokens[number])
        return found


def text(path: str | os.PathLike[str], encoding: str = "utf-8") -> str:
    """Read a text file; every end of a line is a newline.

    Raises FormatError where the bytes are no text of that encoding.
    """
    content = Path(path).read_bytes()
    try:
        found = content.decode(encoding)
    except UnicodeDecodeError as error:
        raise FormatError(
            f"{os.fspath(path)}: no {encoding} text: {error.reason} at byte {error.start}",
            hint='encoding="latin-1" takes any byte',
        ) from error
    return found.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")


def aligned(
    path: str | os.PathLike[str],
    other: str | os.PathLike[str] | None = None,
    delimiter: str = "\t",
) -> list[tuple[str, str]]:
    """Return pairs (source, target) of a file with both in each line, or of two files.

    In one file the first two cells of a line are the pair; two files have it in lines of the same
    number. Lines that are empty (in both) are left out.
    """
    lines = text(path).split("\n")
    if other is None:
        rows = [line.split(delimiter) for line in lines]
        for number, row in enumerate(rows, 1):
            if len(row) == 1 and row[0].strip():
                raise FormatError(
                    f"{os.fspath(path)}:{number}: no {delimiter!r} between source and target"
                )
        return [(row[0].strip(), row[1].strip()) for row in rows if len(row) > 1]
    targets = text(other).split("\n")
    a, b = (len(part) - (part[-1] == "") for part in (lines, targets))
    if a != b:
        raise FormatError(f"{os.fspath(path)} has {a} lines, {os.fspath(other)} {b}")
    pairs = [(x.strip(), y.strip()) for x, y in zip(lines, targets)]
    return [pair for pair in pairs if any(pair)]


def captions(path: str | os.PathLike[str]) -> dict[str, list[str]]:
    """Read a file of captions in COCO's form: the captions of each image, by its file name.

    It is JSON with `images` (`id`, `file_name`) and `annotations` (`image_id`, `caption`).
    """
    name = os.fspath(path)
    try:
        content = json.loads(text(path))
        files = {row["id"]: str(row["file_name"]) for row in content["images"]}
        found: dict[str, list[str]] = {file: [] for file in files.values()}
        for row in content["annotations"]:
            found[files[row["image_id"]]].append(str(row["caption"]).strip())
    except json.JSONDecodeError as error:
        raise FormatError(f"{name}: no JSON: {error}") from error
    except KeyError as error:
        raise FormatError(
            f"{name}: no file of captions: {error} is missing",
            hint="images have id and file_name, annotations image_id and caption",
        ) from error
    except (TypeError, AttributeError) as error:
        raise FormatError(f"{name}: no file of captions: {error}") from error
    return found

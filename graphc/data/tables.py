"""Read tables of comma-separated values: columns of numbers and of categories."""

from __future__ import annotations

import csv as files
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from graphc import origin as origins
from graphc.errors import ArgumentError, FormatError, NameError
from graphc.ir.types import Array

MISSING = {"", "?", "na", "n/a", "nan", "null", "none"}
MOSTLY = 0.9  # a column with this share of numbers is one of numbers with mistakes in it


@dataclass(frozen=True)
class Table:
    """Columns by name: float64 numbers (NaN where missing), int32 codes of categories (or -1)."""

    columns: dict[str, Array]
    categories: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Array:
        """A column."""
        if name not in self.columns:
            raise NameError(
                f"table: no column is called {name!r}",
                origin=origins.find_origin(),
                hint="one of " + ", ".join(self.columns),
            )
        return self.columns[name]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    def matrix(self, *names: str) -> Array:
        """Columns (default: all) as float32 of shape (rows, features), categories one-hot.

        A missing category is a row of zeros, a missing number NaN; see `features`.
        """
        parts = [self._part(name) for name in names or self.columns]
        whole = np.concatenate([np.zeros((len(self), 0)), *parts], axis=1)
        return np.asarray(whole, np.float32)

    def features(self, *names: str) -> list[str]:
        """The names of the columns of `matrix`: NAME, and NAME=VALUE of categories."""
        found = []
        for name in names or self.columns:
            values = self.categories.get(name)
            found += [name] if values is None else [f"{name}={value}" for value in values]
        return found

    def _part(self, name: str) -> Array:
        column = self[name]
        if name not in self.categories:
            return column[:, None]
        one_hot: Array = column[:, None] == np.arange(len(self.categories[name]))
        return one_hot


def csv(
    path: str | os.PathLike[str],
    categories: Sequence[str] | Mapping[str, Sequence[str]] = (),
    names: Sequence[str] | None = None,
    delimiter: str = ",",
) -> Table:
    """Read a table whose first row has the names of the columns, unless `names` gives them.

    A column of numbers (and missing cells: empty, NA, ?) is numeric, any other one categorical, as
    is one listed in `categories`; its categories are sorted. To read a second file with the codes
    of a first one, pass `categories=first.categories`. Raises FormatError where rows differ in
    length, a cell of a numeric column is no number, or a category is new.
    """
    name = os.fspath(path)
    rows = _rows(name, delimiter)
    if names is None:
        if not rows:
            raise FormatError(f"{name}: empty: the first row should have the names of the columns")
        names = [title.strip() for title in rows.pop(0)[1]]
    names = list(names)
    if len(set(names)) < len(names):
        twice = next(n for n in names if names.count(n) > 1)
        raise FormatError(f"{name}: two columns are called {twice!r}")
    for line, row in rows:
        if len(row) != len(names):
            raise FormatError(f"{name}:{line}: {len(row)} cells, there are {len(names)} columns")
    unknown = [n for n in categories if n not in names]
    if unknown:
        raise ArgumentError(
            f"csv: {name} has no column {unknown[0]!r}",
            origin=origins.find_origin(),
            hint="one of " + ", ".join(names),
        )
    columns: dict[str, Array] = {}
    found: dict[str, tuple[str, ...]] = {}
    for i, title in enumerate(names):
        column = _Column(name, title, [(line, row[i].strip()) for line, row in rows])
        numbers = None if title in categories else column.numbers()
        if numbers is None:
            known = categories[title] if isinstance(categories, Mapping) else None
            numbers, found[title] = column.codes(known)
        columns[title] = numbers
    return Table(columns, found)


def _rows(name: str, delimiter: str) -> list[tuple[int, list[str]]]:
    """Every row that is not empty, with the number of its last line."""
    try:
        with open(name, newline="", encoding="utf-8-sig") as stream:
            reader = files.reader(stream, delimiter=delimiter, strict=True)
            return [(reader.line_num, row) for row in reader if row]
    except UnicodeDecodeError as error:
        raise FormatError(f"{name}: no UTF-8 text: {error}") from error
    except files.Error as error:
        raise FormatError(f"{name}: {error}") from error


@dataclass(frozen=True)
class _Column:
    """The cells of a column, with their lines."""

    file: str
    title: str
    cells: list[tuple[int, str]]

    def numbers(self) -> Array | None:
        """The column as numbers; None where it is one of categories."""
        values = [_number(cell) for _, cell in self.cells]
        wrong = [i for i, value in enumerate(values) if value is None]
        if not wrong:
            return np.array(values, np.float64)
        if len(wrong) > (1.0 - MOSTLY) * len(values):
            return None
        line, cell = self.cells[wrong[0]]
        raise FormatError(
            f"{self.file}:{line}: {self.title} is {cell!r}, most of the column are numbers",
            hint=f"mend the cell, or read it as categories: categories=[{self.title!r}]",
        )

    def codes(self, known: Sequence[str] | None) -> tuple[Array, tuple[str, ...]]:
        """The column as codes, and what they mean."""
        if known is None:
            known = sorted({cell for _, cell in self.cells if cell.lower() not in MISSING})
        code = {value: i for i, value in enumerate(known)}
        found = []
        for line, cell in self.cells:
            if cell not in code and cell.lower() not in MISSING:
                raise FormatError(
                    f"{self.file}:{line}: {self.title} is {cell!r}, which is no known category",
                    hint="one of " + ", ".join(map(str, known)),
                )
            found.append(code.get(cell, -1))
        return np.array(found, np.int32), tuple(known)


def _number(cell: str) -> float | None:
    if cell.lower() in MISSING:
        return float("nan")
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None

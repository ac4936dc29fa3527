"""The model cases that the onnx package stores: exported layers, operators, small models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from graphc.errors import UnsupportedError
from graphc.onnx import backend
from tests.tolerances import ONNX_STORED

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
KINDS = ("pytorch-converted", "pytorch-operator", "simple")
CASES = [path for kind in KINDS for path in sorted((DATA / kind).iterdir()) if path.is_dir()]
OUTSIDE = ("strnorm",)  # strings


def arrays(folder: Path, kind: str) -> list[Any]:
    """The stored inputs or outputs of a data set in order."""
    count = len(list(folder.glob(f"{kind}_*.pb")))
    return [
        numpy_helper.to_array(onnx.load_tensor(str(folder / f"{kind}_{i}.pb")))
        for i in range(count)
    ]


def check(case: Path) -> None:
    """The outputs of all data sets are the stored ones."""
    prepared = backend.prepare(onnx.load(case / "model.onnx"))
    for folder in sorted(case.glob("test_data_set_*")):
        outputs = prepared.run(arrays(folder, "input"))
        for found, expected in zip(outputs, arrays(folder, "output"), strict=True):
            assert (found.shape, found.dtype) == (expected.shape, expected.dtype)
            np.testing.assert_allclose(found, expected, **ONNX_STORED)


INSIDE = [case for case in CASES if not any(word in case.name for word in OUTSIDE)]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", INSIDE, ids=lambda case: case.name)
def test_every_stored_case(case: Path) -> None:
    check(case)


@pytest.mark.parametrize("case", [c for c in CASES if c not in INSIDE], ids=lambda case: case.name)
def test_strings_are_refused(case: Path) -> None:
    with pytest.raises(UnsupportedError):
        backend.prepare(onnx.load(case / "model.onnx"))

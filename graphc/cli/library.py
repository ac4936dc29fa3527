"""The part of `graphc demo` that leaves Python: a library, and a C program with it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import graphc as gx
from graphc.cli.show import bytes_text
from graphc.ir.types import Array
from graphc.runtime.function import CompiledFunction

SHOWN_DIGITS = 20  # digits that the C program looks at

PROGRAM = """\
/* Reads handwritten digits (64 floats each) from a file and says what they are. */
#include "digits.h"
#include <stdio.h>

_Alignas(DIGITS_WORKSPACE_ALIGNMENT) static unsigned char workspace[DIGITS_WORKSPACE_BYTES];
static float images[DIGITS_PREDICT_BATCH_MAX * 64];
static int32_t digit[DIGITS_PREDICT_BATCH_MAX];

int main(int count, char **arguments) {
  FILE *file = count == 2 ? fopen(arguments[1], "rb") : NULL;
  if (!file) return fprintf(stderr, "usage: predict FILE\\n"), 2;
  int64_t batch = (int64_t)(fread(images, sizeof(float), sizeof images / sizeof(float), file) / 64);
  fclose(file);
  int32_t status = digits_init(workspace, sizeof workspace);
  if (!status) status = digits_predict(workspace, batch, images, digit);
  if (status) return fprintf(stderr, "%s\\n", digits_status_text(status)), 1;
  for (int64_t i = 0; i < batch; i++) printf("%d ", (int)digit[i]);
  printf("\\n");
  return 0;
}
"""


def demonstrate(step: CompiledFunction, predict: CompiledFunction, directory: Path) -> list[str]:
    """Write the library, call it from Python and from C; say what came of it."""
    _, (images, _) = gx.data.digits()
    given = images[:SHOWN_DIGITS]
    bundle = step.export(directory / "library", name="digits", also={"predict": predict})
    total = bytes_text(sum(bundle.sizes.values()))
    lines = [f"a C library that trains and predicts ({total}) is in {bundle.directory}"]
    if bundle.note:
        return [*lines, bundle.note]
    library = bundle.load()
    library.selftest()
    found, wanted = library.predict(given)["digit"], predict(given)["digit"]
    same = "the same digits" if (found == wanted).all() else "OTHER DIGITS"
    lines.append(f"the library passes its self-test and finds {same} as the function in Python")
    return lines + from_c(bundle.directory, given, wanted)


def from_c(directory: Path, images: Array, wanted: Array) -> list[str]:
    """Compile and run the C program, where there is a compiler."""
    (directory / "predict.c").write_text(PROGRAM, encoding="utf-8")
    images.tofile(directory / "images.f32")
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        return [f"no C compiler here: {directory / 'predict.c'} was not compiled"]
    build = [compiler, "-std=c11", "-O1", "predict.c", "digits.a", "-o", "predict"]
    try:
        subprocess.run(build, cwd=directory, check=True, capture_output=True, timeout=60)
        done = subprocess.run(
            [directory / "predict", "images.f32"],
            cwd=directory, check=True, capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        return [f"the C program could not be compiled and run: {error}"]
    same = done.stdout.split() == [str(v) for v in wanted.tolist()]
    what = "agrees" if same else "DOES NOT AGREE"
    return [f"a C program with it ({directory / 'predict'}) {what}: {done.stdout.strip()}"]

"""Show that a change leaves everything as it is that the compiler makes.

    python -m tests.replay record DIRECTORY [--quick] [--root CHECKOUT]
    python -m tests.replay compare DIRECTORY_A DIRECTORY_B
    python -m tests.replay against COMMIT [--quick]

`record` writes a compressed text file a case, and SUMS with a checksum a file. A case is a
program: a benchmark, an example, a page of the documentation, a model, the samples of an op, a
random graph. Its file holds, of every function that the program compiles, the graph after every
pass, schedule, memory plan, kernels, report, and LLVM text for this machine (for one size and for
all sizes), for the baseline of x86-64 and for aarch64; exported libraries and ONNX files are
there byte by byte. Nothing is compiled to machine code but the exported libraries: a call of a
function notes its sizes and returns zeros.

`--root` names the checkout whose compiler is recorded. The programs are always those beside this
file; only the generator of random graphs, which knows the compiler's insides, is the checkout's.
`compare` prints the first lines that differ in each file and exits with 1 if there are any.
`against` does both for a commit and this checkout. The quick part takes a minute.
"""

from __future__ import annotations

import sys

from .command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

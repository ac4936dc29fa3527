"""Build, check and measure everything on a machine with a GPU: `python -m tests.gpu_check`."""

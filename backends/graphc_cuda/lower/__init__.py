"""From loop-level kernels to device programs: which launches there are, and what a thread does."""

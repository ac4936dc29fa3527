"""Products that a library of NVIDIA's computes, where it is asked for: never required."""

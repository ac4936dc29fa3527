"""The loop level: kernels as loops over scalar expressions, from which backends make code."""

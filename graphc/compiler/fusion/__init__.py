"""Fusion: group nodes into kernels and lower each group to loops."""

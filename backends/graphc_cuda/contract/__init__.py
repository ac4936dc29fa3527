"""Contractions as tiles in shared memory: what a block computes, and how."""

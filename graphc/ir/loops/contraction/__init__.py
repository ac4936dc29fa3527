"""Contractions in loop nests: recognised, with their axes and indices in order."""

"""Export compiled functions as C libraries."""

"""Leave Python: compiled functions as a C library."""

"""Compiled functions: arguments, sizes, variants, and the protocol of backends."""

"""The primitives, one file per family, one class per op."""

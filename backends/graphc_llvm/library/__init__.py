"""A library in C's terms: its functions as LLVM text, object code, linking."""

"""The parts of `python -m tests.replay`; see `__main__.py`.

They import each other by relative names: another checkout's `tests` stands before this one where
its compiler is recorded.
"""

"""The parts of `tests/replay.py`; see there.

They import each other by relative names: another checkout's `tests` stands before this one where
its compiler is recorded.
"""

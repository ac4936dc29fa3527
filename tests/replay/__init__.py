"""The parts of `tests/replay.py`; see there."""

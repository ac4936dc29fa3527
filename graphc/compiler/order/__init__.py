"""The order of calls, and barriers."""

"""Scheduling: the order of calls, and the barriers between them."""

"""The tests; helpers are imported by their full names: `from tests.networks import mlp_step`."""

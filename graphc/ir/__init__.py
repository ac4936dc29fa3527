"""The intermediate representations: types, sizes, graphs, schedules, ops and loops."""

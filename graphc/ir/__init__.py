"""What the compiler is about: types, sizes, graphs, schedules, ops and loops."""

"""Memory planning: the offset of every temporary, and a check of the plan."""

"""From a graph to a planned schedule; `pipeline` is the table of contents."""

"""Device programs: what a kernel of a GPU does, thread by thread, before it is any text."""

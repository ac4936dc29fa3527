"""From object code to a Python call: loading, caching, threads, the native entry."""

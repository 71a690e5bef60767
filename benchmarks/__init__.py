"""How fast `mmtutor` is, each row against a named peer in one process: `python -m benchmarks`."""

"""Programs that the make targets run. They need only Python's standard library."""

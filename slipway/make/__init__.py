"""Programs for make, copier and users. They need only Python's standard library."""

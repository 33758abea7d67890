"""A file system that fails on demand, and a mock of a tape archive: see README.md."""

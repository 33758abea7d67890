"""The drawn pictures of the docs: `make pictures`."""

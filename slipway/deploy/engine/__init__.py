"""The same image and the same toml on an engine that is not ours. All of it is pure."""

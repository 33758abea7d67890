"""tapemock before a directory of the machine's own file system."""

pytest_plugins = ["tapemock.mounted"]

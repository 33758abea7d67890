"""The commands, one module each. `add_arguments(parser)` declares a command's arguments. `await handle(fleet, args)`
runs the command and returns its exit code; None means 0."""

"""The commands of `python -m slipway.deploy`, a module each: `add_arguments(parser)` adds what it takes, and
`handle(fleet, args)` does it; what that returns is awaited for an exit code, or None for 0.
"""

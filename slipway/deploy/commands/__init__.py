"""The commands of `python -m slipway.deploy`, a module each, as Django's management commands are.

`add_arguments(parser)` adds what it takes besides __main__'s common arguments.
`handle(fleet, args)` does it. What it returns is awaited for an exit code, or None for 0.
"""

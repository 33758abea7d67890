"""The commands of `python -m deploy`, a module each, as Django's management commands are.

`add_arguments(parser)` adds what it takes besides __main__'s common arguments, where that is anything.
`handle(fleet, args)` does it, and returns an exit code, or None for 0.
"""

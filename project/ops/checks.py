"""The parts that /readyz asks. Each function returns when its part is up and raises when it is not."""


def database():
    pass


def migrations():
    pass


def cache():
    pass

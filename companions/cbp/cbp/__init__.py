"""A TCP proxy that stops asking a service which does not answer."""

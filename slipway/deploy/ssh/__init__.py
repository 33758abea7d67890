"""Connects to hosts and validates their answers."""

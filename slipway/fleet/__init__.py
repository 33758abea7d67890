"""Test servers in containers."""

"""Writes what a person reads: the display of a rollout, tables."""

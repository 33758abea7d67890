"""Decides what a rollout does and in which order, and does it."""

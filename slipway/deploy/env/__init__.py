"""Stages settings and secrets of the servers."""

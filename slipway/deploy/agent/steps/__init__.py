"""The steps of a deploy: see table.py."""

"""Asks sites for their figures, and sends them to Graphite."""

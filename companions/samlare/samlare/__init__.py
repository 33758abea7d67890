"""Sends the figures that programs show as JSON (expvar) to Graphite."""

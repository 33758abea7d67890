"""Logs in JSON, and what is kept out of them."""

"""What lives on a server; render.py reads it as text."""

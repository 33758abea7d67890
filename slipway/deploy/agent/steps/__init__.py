"""What a deploy does on a host: table.py lists the steps."""

"""The settings and secrets of servers: `make env`."""

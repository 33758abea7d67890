"""The settings and secrets of servers: `slipway env`."""

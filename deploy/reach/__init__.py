"""Connections to the hosts, the agents at their ends, and the registry that is served through them."""

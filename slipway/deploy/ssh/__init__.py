"""Reaches hosts: connections, their limits, and what is believed of an answer."""

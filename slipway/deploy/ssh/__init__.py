"""Reaches hosts: connections, programs here, and what is believed of an answer."""

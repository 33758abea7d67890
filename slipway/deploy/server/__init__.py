"""Tells the files of a server; those that are not made of anything lie here as they are."""

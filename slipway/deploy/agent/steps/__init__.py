"""The steps of a deploy, a file for each or for a family. See step.py."""

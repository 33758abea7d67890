"""A Django app that shows the files of a mounted file system."""

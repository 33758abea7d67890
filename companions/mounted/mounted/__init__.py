"""A page that browses a file system which may go away: ../README.md."""

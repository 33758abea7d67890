"""docker-backup: keeps an app's data in a restic repository. It runs on hosts, from /usr/local/lib/docker-backup, and
needs only Python 3.9, restic 0.14 and Docker. commands.py lists its commands; docs/backup.md is its manual."""

"""docker-backup: keeps an app's database by pgBackRest, its files by restic. It runs on hosts, from
/usr/local/lib/docker-backup, and needs only Python 3.9, restic 0.14 and Docker. docs/backup.md is its manual."""

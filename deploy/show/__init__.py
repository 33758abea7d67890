"""What people see: the live table of a rollout, and the tables of status and releases."""

"""What people see: the live tables of a rollout and of watch, and the tables of status and releases."""

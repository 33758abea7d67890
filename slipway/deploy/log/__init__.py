"""What hosts have logged: what to ask their journals for, and how people read it."""

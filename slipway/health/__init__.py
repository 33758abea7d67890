"""Health checks, heartbeats, counts and metrics."""

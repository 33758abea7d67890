"""A proxy with a circuit breaker."""

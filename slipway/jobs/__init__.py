"""Background jobs: what Celery lacks."""

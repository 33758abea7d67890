"""A Django project's settings of production, health checks, and deployer."""

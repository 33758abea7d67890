"""Whether enough is up, and well enough: rules, what they measure, alerts; the same for Prometheus. Only probes.py and
looking.py ask anybody."""

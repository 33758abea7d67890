"""Output for people: the display of a rollout, and tables."""

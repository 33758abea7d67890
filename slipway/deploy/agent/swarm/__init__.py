"""The agent on a manager of a swarm. All that has to last is in the swarm itself, so any manager can go on."""

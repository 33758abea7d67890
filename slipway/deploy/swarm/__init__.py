"""Docker Swarm as what runs the app: the stack, its rollout, the nodes, and what commands show of it."""

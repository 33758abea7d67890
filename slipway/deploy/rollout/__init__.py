"""Plans and runs rollouts: deploys and rollbacks."""

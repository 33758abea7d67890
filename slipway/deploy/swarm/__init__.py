"""The deployer for `engine.kind = "swarm"`: the same commands, events and exit codes as on hosts of one's own."""

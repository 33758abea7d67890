"""What commands do: rollouts, their commit, settings, hooks."""

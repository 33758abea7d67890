#!/bin/sh
# The loop that people write by hand: one host after another, by one ssh each. It does not wait, publish or migrate.
# HOSTS, SSH and COMMANDS (see deploy_tools.py) come from the environment.
set -eu
for host in $HOSTS; do
    # shellcheck disable=SC2086 # split SSH at spaces
    $SSH "$host" "$COMMANDS"
done

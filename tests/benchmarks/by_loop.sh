#!/bin/sh
# What people write by hand: host after host, in one ssh each. It waits for nothing, publishes and migrates nothing.
# HOSTS, SSH and COMMANDS (see deploy_tools.py) come from the environment.
set -eu
for host in $HOSTS; do
    # shellcheck disable=SC2086 # options are words
    $SSH "$host" "$COMMANDS"
done

"""The deployer, run as `python -m deploy`, and all that lives on a server: host/."""

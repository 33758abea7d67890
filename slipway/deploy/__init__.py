"""The deployer, run as `python -m slipway.deploy`, and all that lives on a server: server/."""

"""The deployer (`python -m slipway.deploy`). server/ contains the files that provisioning writes on servers."""

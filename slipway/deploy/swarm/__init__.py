"""The engine "swarm", which deploys with Docker Swarm."""

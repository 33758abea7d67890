# deploy.mk: operate the servers. So far: test servers. `make help` lists the targets.
#
# Every name below can be set in the Makefile before the include, in the environment or on the command line.
# Keeps to GNU Make 3.81 and POSIX tools.

PYTHON      ?= python3
VE          ?= ve
PYTEST_ARGS ?=
FLEET_HOSTS ?= web1 web2 work1
FLEET_BASE  ?= debian:bookworm-slim
KEEP        ?=

# ---- test servers in containers: docs/e2e.md ----

run_fleet = PYTHONPATH=tests '$(PYTHON)' -m e2e.fleet
fleet_up  = $(run_fleet) up --base '$(FLEET_BASE)' $(FLEET_HOSTS)

.PHONY: fleet fleet-down e2e

## Test on servers
fleet: ## test servers in containers, up and ready (FLEET_HOSTS="web1 …" FLEET_BASE=debian:…)
	@$(fleet_up)

fleet-down: ## remove the test servers and all they hold
	@$(run_fleet) down

# The traps take the fleet down however the tests end; without the second, Ctrl-C would end the shell too early.
e2e: $(VE)/sentinel-dev ## tests on the fleet, which is made and removed (KEEP=1: stays; PYTEST_ARGS="…")
	@trap '[ -n "$(KEEP)" ] || $(run_fleet) down' EXIT; trap 'exit 130' HUP INT TERM; \
	  $(fleet_up) && $(VE)/bin/python -m pytest tests/e2e --durations=0 $(PYTEST_ARGS)

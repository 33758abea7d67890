# deploy.mk: operate the servers. `make help` lists the targets, docs/provision.md and docs/env.md tell of them.
#
# Every name below can be set in the Makefile before the include, in the environment or on the command line.
# Keeps to GNU Make 3.81 and POSIX tools.

include ve.mk

APP                 ?= app
IMAGE               ?= $(APP)
TAG                 ?= $(eval TAG := $$(shell $$(git_tag)))$(TAG)
ENV                 ?= production
ARGS                ?=
HOST                ?=

# As docker.mk names what it builds.
git_dirty = test -z "$$(git status --porcelain 2>&1)" || printf %s -dirty
git_tag = echo "$$(git rev-parse --short HEAD 2>/dev/null || echo unversioned)$$($(git_dirty))"

# ---- servers, as deploy/$(ENV).toml or HOSTS, CELERY_HOSTS and BEAT_HOSTS describe them ----
# The deployer needs a Python alone; provisioning also what requirements-deploy.txt pins.

# exec: make tells the recipe's first process only that it should end.
deploy_with = APP='$(APP)' IMAGE='$(IMAGE)' ENV='$(ENV)' exec '$(1)' -m deploy

.PHONY: provision provision-check env

## Operate
provision: $(VE)/sentinel-deploy ## bare servers can run the app; again: puts them right (ARGS="--remove HOST")
	@$(call deploy_with,$(VE)/bin/python) provision $(ARGS)

provision-check: $(VE)/sentinel-deploy ## what provision would change; fails if anything
	@$(call deploy_with,$(VE)/bin/python) provision --check $(ARGS)

env: ## settings and secrets of the servers (ARGS="list", "set NAME", "unset NAME", "set-file NAME FILE")
	@$(call deploy_with,$(PYTHON)) env $(or $(ARGS),list)

plan: ## what a deploy would do (TAG=build-42)
	@$(call deploy_with,$(PYTHON)) plan '$(TAG)' $(ARGS)

deploy: ## bring a release to all servers, or take it back (TAG=build-42 ARGS="--no-bake --parallel 2")
	@$(call deploy_with,$(PYTHON)) deploy '$(TAG)' $(ARGS)

rollback: ## the release before, everywhere (ARGS="--to build-41")
	@$(call deploy_with,$(PYTHON)) rollback $(ARGS)

status: ## what runs where; fails if anything is not as it should be
	@$(call deploy_with,$(PYTHON)) status $(ARGS)

releases: ## what ran when, by whom, and what became of it
	@$(call deploy_with,$(PYTHON)) releases $(ARGS)

logs: ## what the servers log (ARGS="-f --role worker --since '1 hour ago'")
	@$(call deploy_with,$(PYTHON)) logs $(ARGS)

run: ## a command in the release that is live on a host (HOST=web1 ARGS="manage showmigrations")
	@$(call deploy_with,$(PYTHON)) run '$(HOST)' -- $(ARGS)

prune: ## remove images and secret files that no release of the servers needs any more
	@$(call deploy_with,$(PYTHON)) prune $(ARGS)

.PHONY: plan deploy rollback status releases logs run prune

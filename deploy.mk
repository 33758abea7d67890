# deploy.mk: operate the servers. `make help` lists the targets, docs/provision.md and docs/settings.md tell of them.
#
# Every name below can be set in the Makefile before the include, in the environment or on the command line.
# Keeps to GNU Make 3.81 and POSIX tools.

include make/ve.mk

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
# The deployer needs a Python alone; provisioning also what requirements/deploy.txt pins.

# exec: make tells the recipe's first process only that it should end.
deploy_with = APP='$(APP)' IMAGE='$(IMAGE)' ENV='$(ENV)' exec $(call quote,$(1)) -m slipway.deploy

.PHONY: config-check provision drain undrain env

## Operate
config-check: slipway/deploy/__main__.py ## is the servers' file right, and what does it say?
	@$(has_python); $(call deploy_with,$(PYTHON)) config check $(ARGS)

provision: slipway/deploy/__main__.py $(VE)/sentinel-deploy ## bare servers can run the app; again: puts them right (ARGS="--check", "--remove HOST")
	@$(call deploy_with,$(VE)/bin/python) provision $(ARGS)

drain: slipway/deploy/__main__.py $(VE)/sentinel-deploy ## balancers send a web host no visitors (HOST=web1)
	@$(call deploy_with,$(VE)/bin/python) drain '$(HOST)' $(ARGS)

undrain: slipway/deploy/__main__.py $(VE)/sentinel-deploy ## balancers send a web host visitors again (HOST=web1)
	@$(call deploy_with,$(VE)/bin/python) drain --end '$(HOST)' $(ARGS)

env: slipway/deploy/__main__.py ## settings and secrets of the servers (ARGS="list", "set NAME", "unset NAME", "set-file NAME FILE")
	@$(call deploy_with,$(PYTHON)) env $(or $(ARGS),list)

plan: slipway/deploy/__main__.py ## what a deploy would do (TAG=build-42)
	@$(call deploy_with,$(PYTHON)) plan '$(TAG)' $(ARGS)

deploy: slipway/deploy/__main__.py ## bring a release to all servers, or take it back (TAG=build-42 ARGS="--no-bake --parallel 2")
	@$(call deploy_with,$(PYTHON)) deploy '$(TAG)' $(ARGS)

rollback: slipway/deploy/__main__.py ## the release before, everywhere (ARGS="--to build-41")
	@$(call deploy_with,$(PYTHON)) rollback $(ARGS)

status: slipway/deploy/__main__.py ## what runs where; fails if anything is not as it should be
	@$(call deploy_with,$(PYTHON)) status $(ARGS)

releases: slipway/deploy/__main__.py ## what ran when, by whom, and what became of it
	@$(call deploy_with,$(PYTHON)) releases $(ARGS)

logs: slipway/deploy/__main__.py ## what the servers log (ARGS="-f --role worker --since '1 hour ago'")
	@$(call deploy_with,$(PYTHON)) logs $(ARGS)

run: slipway/deploy/__main__.py ## a command in the release that is live on a host (HOST=web1 ARGS="manage showmigrations")
	@$(call deploy_with,$(PYTHON)) run '$(HOST)' -- $(ARGS)

watch: slipway/deploy/__main__.py ## whether enough hosts are up, again and again, alerts by a hook (ARGS=--once: once, fails if not)
	@$(call deploy_with,$(PYTHON)) watch $(ARGS)


# What is wrong with the servers' file is told before anything is installed for it.
$(VE)/sentinel-deploy: servers-file

servers-file: slipway/deploy/__main__.py
	@$(if $(findstring --config,$(ARGS)),,$(has_python); ($(call deploy_with,$(PYTHON)) config check) >/dev/null)

.PHONY: plan deploy rollback status releases logs run watch

# The deployer reads settings, judges them and writes files as the image does.
slipway/deploy/__main__.py: FORCE
	@for file in $@ slipway/envfile.py slipway/values.py slipway/lasting/files.py; do test -e "$$file" || { \
	  echo "make: no $$file here: take it from the template, see docs/make.md" >&2; exit 1; }; done

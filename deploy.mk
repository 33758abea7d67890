# deploy.mk: operate the servers. See docs/provision.md, docs/deploy.md and docs/operations.md.

include ve.mk

ENV           ?= production
DEPLOY_FOLDER ?= deploy
HOST          ?=
FLEETS        ?= 1
FLEET_HOSTS   ?= web1 web2 work1
FLEET_BASE    ?= debian:bookworm-slim

# The deployer needs only Python. Provisioning also needs packages, in a virtualenv of its own.
deployer    = $(call with,APP IMAGE ENV DEPLOY_FOLDER HOST ARGS)$(slipway)
provisioner = PYTHON=$(PROVISIONER); $(deployer)
PROVISIONER = $(VE)/deploy/bin/python

$(VE)/deploy/sentinel: $(call pins,deploy) $(VE)/sentinel
	$(call install,$<)

## Operate
.PHONY: config-check provision drain undrain env plan deploy rollback status releases errors logs run console dbshell \
        maintenance watch classic fleet fleet-down

config-check: FORCE ## check the servers' file, and list its hosts
	@$(deployer) config check {ARGS}

provision: servers-file $(VE)/deploy/sentinel ## set up bare servers, or correct them (ARGS="--check", "--remove HOST")
	@$(provisioner) provision {ARGS}

drain: servers-file $(VE)/deploy/sentinel ## take a web host out of the balancers (HOST=web1)
	@$(provisioner) drain "$$HOST" {ARGS}

undrain: servers-file $(VE)/deploy/sentinel ## put a web host back into the balancers (HOST=web1)
	@$(provisioner) drain --end "$$HOST" {ARGS}

env: FORCE ## list or change settings and secrets (ARGS="list", "set NAME", "unset NAME", "set-file NAME FILE")
	@$(deployer) env $(if $(ARGS),{ARGS},list)

plan: ## show what a deploy would do (TAG=build-42)
deploy: ## deploy a release to all servers; take it back if it fails (TAG=build-42 ARGS="--no-bake --parallel 2")
plan deploy: FORCE
	@$(call with,TAG)$(deployer) $@ "$$TAG" {ARGS}

run: FORCE ## run a command in a host's live release (HOST=work1 ARGS="manage showmigrations"; ARGS=bash: a shell)
	@$(deployer) run "$$HOST" -- {ARGS}

console: ## start Django's shell in the live release (HOST=web1; default: the first host with web)
dbshell: ## start the database's client in the live release (HOST=web1)
console dbshell: FORCE
	@$(deployer) run "$$HOST" -- manage $(@:console=shell) {ARGS}

rollback: ## return all servers to the previous release (ARGS="--to build-41")
status: ## show what runs where; fails if there are problems
releases: ## list past deploys: when, by whom, outcome
errors: ## show what has failed since the live release, in groups (ARGS=ID: all of one)
logs: ## show the servers' logs (ARGS="--since -1h --level warning --grep timeout", ARGS=-f)
maintenance: ## show visitors the maintenance page (ARGS=on or off), or tell if they see it
watch: ## keep checking that enough hosts are up, and alert by a hook (ARGS=--once: check once, fail if not)
rollback status releases errors logs maintenance watch: FORCE
	@$(deployer) $@ {ARGS}

classic: FORCE ## write deploy/classic.sh, which deploys by stop and start
	@$(call with,DEPLOY_FOLDER)$(slipway) packaged deploy/classic.sh "$$DEPLOY_FOLDER/classic.sh"

fleet: FORCE ## start three test servers in Docker (FLEET_HOSTS="web1 …" FLEET_BASE=debian:…)
	@$(call with,FLEET_HOSTS FLEET_BASE PROJECT)$(slipway) fleet up "$$FLEET_BASE" {FLEET_HOSTS}

fleet-down: FORCE ## remove the test servers and their data
	@$(call with,FLEETS)$(slipway) fleet down {FLEETS}

# Check the servers' file, such as production.toml, before any package is installed.
servers-file: FORCE
	@$(if $(findstring --config,$(ARGS)),,$(deployer) config check >/dev/null)

# deploy.mk: operate the servers. See docs/provision.md, docs/deploy.md and docs/operations.md.

include ve.mk

.DEFAULT_GOAL := $(or $(.DEFAULT_GOAL),help-by-default)

HOST        ?=
FLEETS      ?= 1
FLEET_HOSTS ?= web1 web2 work1
FLEET_BASE  ?= debian:bookworm-slim

# Each of these targets runs `slipway COMMAND`, which needs only Python: with options, type that. ARGS holds them, too.
# The servers' file names app and image, unless somebody sets these variables.
deployer = $(call with,$(installer) $(given_names) ENV DEPLOY_FOLDER $(if $(ARGS),ARGS)) $(slipway)
options  = $(if $(ARGS),{ARGS})
# These install pyinfra.
installer =
provision drain undrain: installer = $(of_uv)

## Operate
.PHONY: config-check provision drain undrain env unlock plan deploy rollback status releases errors logs run console dbshell \
        maintenance backup backups restore drill dump watch classic fleet fleet-down

config-check: FORCE ## check the servers' file, and list its hosts
	@$(deployer) config check $(options)

drain: ## take a web host out of the balancers (HOST=web1)
undrain: ## put a web host back into the balancers (HOST=web1)
drain undrain: FORCE
	@$(deployer) drain $(if $(filter undrain,$@),--end )$(call quoted,HOST) $(options)

unlock: FORCE ## break the lock of a host, whoever holds it (HOST=web1)
	@$(deployer) unlock $(call quoted,HOST) $(options)

plan: ## show what a deploy would do (TAG=build-42)
deploy: ## deploy a release to all servers; take it back if it fails (TAG=build-42)
plan deploy: FORCE
	@$(deployer) $@ $(call quoted,TAG) $(options)

run: FORCE ## run a command in a host's live release: slipway run manage showmigrations
	@$(deployer) run --host=$(call quoted,HOST) $(options)

console: ## start Django's shell in the live release (HOST=web1; default: the first host with web)
dbshell: ## start the database's client in the live release (HOST=web1)
console dbshell: FORCE
	@$(deployer) run --host=$(call quoted,HOST) manage $(@:console=shell) $(options)

provision: ## set up bare servers, or correct them; slipway provision --check lists what would change
env: ## list settings and secrets; slipway env set NAME changes one
rollback: ## return all servers to the previous release; slipway rollback --to build-41 to another
status: ## show what runs where; fails if there are problems
releases: ## list past deploys: when, by whom, outcome
errors: ## show what has failed since the live release, in groups; slipway errors ID shows all of one
logs: ## show the servers' logs; slipway logs --since -1h --level warning, slipway logs -f
maintenance: ## tell if visitors see the maintenance page; slipway maintenance on, slipway maintenance off
backup: ## back up the database now; slipway backup --password
backups: ## list what can be brought back
restore: ## bring back the database: slipway restore --at latest
drill: ## restore the newest backup into a copy that is thrown away
dump: ## bring a dump of the database here
watch: ## keep checking that enough hosts are up, and alert by a hook
provision env rollback status releases errors logs maintenance backup backups restore drill dump watch: FORCE
	@$(deployer) $@ $(options)

classic: FORCE ## write deploy/classic.sh, which deploys by stop and start
	@$(slipway) packaged deploy/classic.sh $(call quoted,DEPLOY_FOLDER)/classic.sh

fleet: FORCE ## start three test servers in Docker (FLEET_HOSTS="web1 …" FLEET_BASE=debian:…)
	@$(call with,APP IMAGE FLEET_HOSTS PROJECT) $(slipway) fleet up $(call quoted,FLEET_BASE) {FLEET_HOSTS}

fleet-down: FORCE ## remove the test servers and their data
	@$(call with,FLEETS) $(slipway) fleet down {FLEETS}

# docker.mk: build and ship the image, see docs/image.md. It needs only ve.mk. It works with the classic builder
# or BuildKit, and with a remote engine (DOCKER_HOST), as it mounts nothing from this folder.

include ve.mk

REVISION      ?= $(eval REVISION := $$(shell $$(git_revision)))$(REVISION)
DOCKER        ?= docker
COMPOSE       ?= $(eval COMPOSE := $$(shell $$(compose)))$(COMPOSE)
BASE          ?= debian:trixie-slim
PLATFORM      ?=
TEST_DATABASE ?= sqlite
BUILD_ARGS    ?=
WHEEL_ARGS    ?=
ALLOW_DIRTY   ?=
UP_SECONDS    ?= 60
SECRETS       ?= var/compose.env

git_revision = echo "$$(git rev-parse HEAD 2>/dev/null || echo unknown)$$($(git_dirty))"
compose = $(DOCKER) compose version >/dev/null 2>&1 && echo $(DOCKER) compose || echo docker-compose

# A folder without manage.py holds no Django site (see docs/image.md): its build needs no wheels and runs no tests.
is_django = $(wildcard manage.py)

docker_ready = { $(DOCKER) version >/dev/null 2>&1 || { echo 'make: $(DOCKER) does not answer: make doctor says why' >&2; exit 1; }; }
docker_build = $(DOCKER) build $(if $(PLATFORM),--platform '$(PLATFORM)') --build-arg BASE='$(BASE)' $(if $(is_django),--build-arg PROJECT='$(PROJECT)') $(BUILD_ARGS)
test_args = --build-arg TEST_DATABASE='$(TEST_DATABASE)' --build-arg DRIFT_ALLOWED='$(DRIFT_ALLOWED)' --build-arg TESTS=$(call quote,$(TESTS))

# wheelhouse/ has a wheel of each pin. It is made again if the values or files recorded in wheelhouse/made-from change.
WHEELS_FROM = docker/packages.txt requirements.txt requirements/dev.txt $(wildcard slipway/make/wheelhouse.py)
made_from = { echo 'BASE=$(BASE) PLATFORM=$(PLATFORM)' && cat $(WHEELS_FROM); }
wheels_hold = { test -f '$@' && $(made_from) 2>/dev/null | cmp -s - wheelhouse/made-from; }
new = wheelhouse.$$$$

wheelhouse/requirements.txt: FORCE docker/packages.txt Dockerfile
	@$(wheels_hold) || { $(docker_ready) && $(make_wheels); }

docker/packages.txt Dockerfile:
	@test -e '$@' || { echo 'make: no $@ here: take it from the template, see docs/make.md' >&2; exit 1; }

define make_wheels
set -e; trap 'rm -rf $(new)' EXIT; trap 'exit 1' HUP INT TERM; \
mkdir $(new); $(made_from) >$(new)/made-from; \
$(docker_build) --target builder -t '$(IMAGE)-builder' .; \
echo 'make: making wheels of the pins' >&2; \
$(call helper,wheelhouse) | $(DOCKER) run --rm -i $(if $(PLATFORM),--platform '$(PLATFORM)') $(WHEEL_ARGS) '$(IMAGE)-builder' >$(new)/wheels.tar; \
tar -xof $(new)/wheels.tar -C $(new); rm -rf $(new)/wheels.tar wheelhouse; mv $(new) wheelhouse
endef

## Build and ship
.PHONY: wheelhouse build push up down services services-down

wheelhouse: wheelhouse/requirements.txt ## make a wheel of each pin, so that a build needs no network

build: $(if $(is_django),wheelhouse/requirements.txt) Dockerfile FORCE ## build the image, and run the tests in it (TAG=…, TEST_DATABASE=postgres)
	@$(docker_ready); $(if $(is_django),mkdir -p wheelhouse/verdicts)
	@$(docker_build) $(if $(is_django),$(test_args)) --build-arg RELEASE='$(TAG)' --build-arg REVISION='$(REVISION)' \
	  -t '$(IMAGE):$(TAG)' .
	@$(if $(is_django),$(keep_verdicts))
	@echo 'make: built $(IMAGE):$(TAG)'

push: FORCE ## push the image to its registry (IMAGE=registry.example/shop; ALLOW_DIRTY=1: with uncommitted changes)
	@$(docker_ready); case '$(IMAGE)' in */*) $(clean_image); $(DOCKER) push '$(IMAGE):$(TAG)' ;; *) $(no_registry) ;; esac

up: build $(SECRETS) ## run the image with Postgres, Redis, worker and beat, at http://localhost:8000
	@$(with_compose) up -d --remove-orphans || { $(with_compose) logs --tail 20 migrate >&2; exit 1; }
	@$(until_it_answers); echo 'make: http://localhost:$(PORT)'

down: FORCE $(SECRETS) ## stop what make up started; keeps its data
	@$(docker_ready); $(with_compose) down --remove-orphans

services: ## start Postgres and Redis for development, and name them in .env
services-down: ## stop them, and restore .env; keeps their data
services services-down: FORCE
	@$(docker_ready); $(has_compose); $(has_python); REQUIREMENTS='$(REQUIREMENTS)' exec $(call helper,services) $(if $(findstring down,$@),down,up) '$(APP)' $(COMPOSE)

# Copy the image's verdicts on migrations for the next build. Do nothing if $(DOCKER) has no such image or file.
verdicts = wheelhouse/verdicts/migrations.json
keep_verdicts = if id=$$($(DOCKER) create '$(IMAGE):$(TAG)' 2>/dev/null); then \
  if $(DOCKER) cp "$$id:/app/migrations.json" '$(verdicts).new' >/dev/null 2>&1; \
  then mv '$(verdicts).new' '$(verdicts)'; fi; $(DOCKER) rm "$$id" >/dev/null; fi

# Refuse to push an IMAGE that names no registry: Docker would push it to Docker Hub, under somebody else's name.
by_ssh = $(if $(value DEPLOY_FOLDER),$(DEPLOY_FOLDER),deploy)/$(if $(value ENV),$(ENV),production).toml
no_registry = if grep -qs '^registry *= *"ssh"' '$(by_ssh)'; then \
  echo 'make: nothing to push: $(by_ssh) has registry = "ssh", so make deploy sends the image'; \
  else echo 'make: IMAGE=$(IMAGE) names no registry: set IMAGE in the Makefile, such as registry.example/$(APP)' >&2; exit 1; fi

revision_of = $(DOCKER) image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}'
clean_image = case "$$($(revision_of) '$(IMAGE):$(TAG)' 2>/dev/null)" in *-dirty) [ -n '$(ALLOW_DIRTY)' ] || { \
  echo 'make: $(TAG) has uncommitted changes, so nobody could build it again: commit, then make build push' >&2; exit 1; } \
  ;; esac

has_compose = { command -v $(firstword $(COMPOSE)) >/dev/null || { echo 'make: no Docker Compose here: see make doctor' >&2; exit 1; }; }
with_compose = $(has_compose); \
  APP='$(APP)' IMAGE='$(IMAGE)' TAG='$(TAG)' PORT='$(PORT)' SECRETS='$(SECRETS)' $(COMPOSE) $(beside) --project-name '$(APP)$(if $(beside),-slipway)' --env-file '$(SECRETS)'
beside = $(addprefix --file ,$(wildcard compose.slipway.yaml))

until_it_answers = n=0; until { $(with_compose) exec -T web ./docker-run.sh healthcheck; } >/dev/null 2>&1; do \
  n=$$((n + 1)); [ $$n -lt '$(UP_SECONDS)' ] || { { $(with_compose) logs --tail 20 web; } >&2; \
  echo 'make: the site does not answer within $(UP_SECONDS) s, see its log above' >&2; exit 1; }; sleep 1; done

$(SECRETS):
	@mkdir -p $(dir $(SECRETS))
	@umask 077; random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }; \
	  printf 'SECRET_KEY=%s\nPOSTGRES_PASSWORD=%s\n' "$$(random)" "$$(random)" >'$@'

# docker.mk: build and ship the image. `make help` lists the targets, docs/image.md tells how it works.
#
# Works alone, in any order with other .mk files, with the classic builder and BuildKit, and with an engine elsewhere
# (DOCKER_HOST): nothing is mounted from this folder. Keeps to GNU Make 3.81 and POSIX tools.

include make/ve.mk

APP           ?= app
IMAGE         ?= $(APP)
TAG           ?= $(eval TAG := $$(shell $$(git_tag)))$(TAG)
REVISION      ?= $(eval REVISION := $$(shell $$(git_revision)))$(REVISION)
DOCKER        ?= docker
COMPOSE       ?= $(eval COMPOSE := $$(shell $$(compose)))$(COMPOSE)
BASE          ?= debian:trixie-slim
PLATFORM      ?=
TEST_DATABASE ?= sqlite
DRIFT_ALLOWED ?=
TESTS         ?= manage.py test
BUILD_ARGS    ?=
WHEEL_ARGS    ?=
PORT          ?= 8000
ALLOW_DIRTY   ?=
UP_SECONDS    ?= 60
SECRETS       ?= var/compose.env
ARGS          ?=

# What is not committed makes a revision -dirty, as nobody could build it again.
git_dirty = test -z "$$(git status --porcelain 2>&1)" || printf %s -dirty
git_tag = echo "$$(git rev-parse --short HEAD 2>/dev/null || echo unversioned)$$($(git_dirty))"
git_revision = echo "$$(git rev-parse HEAD 2>/dev/null || echo unknown)$$($(git_dirty))"
compose = $(DOCKER) compose version >/dev/null 2>&1 && echo $(DOCKER) compose || echo docker-compose

# A folder without manage.py holds another program, see docs/image.md: its build takes no wheels and judges nothing.
is_django = $(wildcard manage.py)

# One line each for what keeps Docker from answering.
socket = /var/run/docker.sock
no_docker = { echo 'make: no $(DOCKER) here: install Docker (https://docs.docker.com/engine/install/)' >&2; exit 1; }
no_engine = { if test -z "$${DOCKER_HOST-}" && test -S '$(socket)' && test ! -w '$(socket)'; \
  then echo "make: you may not use Docker here: sudo usermod -aG docker $$(id -un), then log in again" >&2; \
  else echo 'make: no Docker engine answers: start it (systemctl start docker, or Docker Desktop)' >&2; fi; exit 1; }
no_compose = { echo 'make: no Docker Compose here: install docker-compose-plugin (or docker-compose)' >&2; exit 1; }
docker_ready = { command -v $(firstword $(DOCKER)) >/dev/null || $(no_docker); \
  $(DOCKER) version >/dev/null 2>&1 || $(no_engine); }
docker_build = $(DOCKER) build $(if $(PLATFORM),--platform '$(PLATFORM)') --build-arg BASE='$(BASE)' $(if $(is_django),--build-arg PROJECT='$(PROJECT)') $(BUILD_ARGS)
test_args = --build-arg TEST_DATABASE='$(TEST_DATABASE)' --build-arg DRIFT_ALLOWED='$(DRIFT_ALLOWED)' --build-arg TESTS=$(call quote,$(TESTS))

# ---- the wheelhouse: every pin as a wheel, made once ----
# What it was made from is kept beside it and compared by content. The new one is whole before it takes the name.

WHEELS_FROM = make/make_wheelhouse.py docker/packages.txt requirements.txt requirements/dev.txt
made_from = { echo 'BASE=$(BASE) PLATFORM=$(PLATFORM)' && cat $(WHEELS_FROM); }
wheels_hold = { test -f '$@' && $(made_from) 2>/dev/null | cmp -s - wheelhouse/made-from; }
new = wheelhouse.$$$$

wheelhouse/requirements.txt: FORCE make/make_wheelhouse.py docker/packages.txt Dockerfile
	@$(wheels_hold) || { $(docker_ready) && $(make_wheels); }

make/make_wheelhouse.py docker/packages.txt Dockerfile:
	@test -e '$@' || { echo 'make: no $@ here: take it from the template, see docs/make.md' >&2; exit 1; }

define make_wheels
set -e; trap 'rm -rf $(new)' EXIT; trap 'exit 1' HUP INT TERM; \
mkdir $(new); $(made_from) >$(new)/made-from; \
$(docker_build) --target builder -t '$(IMAGE)-builder' .; \
echo 'make: making wheels of the pins' >&2; \
$(DOCKER) run --rm $(if $(PLATFORM),--platform '$(PLATFORM)') $(WHEEL_ARGS) '$(IMAGE)-builder' >$(new)/wheels.tar; \
tar -xof $(new)/wheels.tar -C $(new); rm -rf $(new)/wheels.tar wheelhouse; mv $(new) wheelhouse
endef

# ---- what you type ----

## Build and ship
.PHONY: wheelhouse build push up down

wheelhouse: wheelhouse/requirements.txt ## every pin as a wheel, so that a build needs no network

build: $(if $(is_django),wheelhouse/requirements.txt) Dockerfile FORCE ## the image, tested while it is built (TAG=…, TEST_DATABASE=postgres)
	@$(docker_ready); $(if $(is_django),mkdir -p wheelhouse/verdicts)
	@$(docker_build) $(if $(is_django),$(test_args)) --build-arg RELEASE='$(TAG)' --build-arg REVISION='$(REVISION)' \
	  -t '$(IMAGE):$(TAG)' .
	@$(if $(is_django),$(keep_verdicts))
	@echo 'make: built $(IMAGE):$(TAG)'

push: FORCE ## the image to its registry (IMAGE=registry.example/shop; ALLOW_DIRTY=1: even of what no commit holds)
	@$(docker_ready); case '$(IMAGE)' in */*) $(clean_image); $(DOCKER) push '$(IMAGE):$(TAG)' ;; *) $(no_registry) ;; esac

up: build $(SECRETS) ## the image with Postgres, Redis, worker and beat, at http://localhost:8000
	@$(with_compose) up -d --remove-orphans
	@$(until_it_answers); echo 'make: http://localhost:$(PORT)'

down: FORCE $(SECRETS) ## stop what up has started; its data stays
	@$(docker_ready); $(with_compose) down --remove-orphans

# What this build has found of migrations saves the next one the time, where it still holds. An image that was not made
# whole, or is elsewhere, has none.
verdicts = wheelhouse/verdicts/migrations.json
keep_verdicts = if id=$$($(DOCKER) create '$(IMAGE):$(TAG)' 2>/dev/null); then \
  if $(DOCKER) cp "$$id:/app/migrations.json" '$(verdicts).new' >/dev/null 2>&1; \
  then mv '$(verdicts).new' '$(verdicts)'; fi; $(DOCKER) rm "$$id" >/dev/null; fi

# Docker would take the name for one of Docker Hub's, which is a stranger's.
by_ssh = deploy/$(if $(value ENV),$(ENV),production).toml
no_registry = if grep -qs '^registry *= *"ssh"' '$(by_ssh)'; then \
  echo 'make: nothing to push: $(by_ssh) has registry = "ssh", so make deploy sends the image'; \
  else echo 'make: push where? IMAGE is $(IMAGE), without a registry: set it in the Makefile, such as registry.example/$(APP)' >&2; exit 1; fi

# What an image was built from its label tells, whatever it is called.
revision_of = $(DOCKER) image inspect --format '{{index .Config.Labels "org.opencontainers.image.revision"}}'
clean_image = case "$$($(revision_of) '$(IMAGE):$(TAG)' 2>/dev/null)" in *-dirty) [ -n '$(ALLOW_DIRTY)' ] || { \
  echo 'make: $(TAG) has what no commit holds, so nobody could build it again: commit, make build, push' >&2; exit 1; } \
  ;; esac

# What up needs to know, made once: compose.yaml holds no secret.
with_compose = { command -v $(firstword $(COMPOSE)) >/dev/null || $(no_compose); }; \
  APP='$(APP)' IMAGE='$(IMAGE)' TAG='$(TAG)' PORT='$(PORT)' SECRETS='$(SECRETS)' $(COMPOSE) $(beside) --project-name '$(APP)$(if $(beside),-slipway)' --env-file '$(SECRETS)'

# Of a project whose own compose.yaml is for something else.
beside = $(addprefix --file ,$(wildcard compose.slipway.yaml))

until_it_answers = n=0; until { $(with_compose) exec -T web ./docker-run.sh healthcheck; } >/dev/null 2>&1; do \
  n=$$((n + 1)); [ $$n -lt '$(UP_SECONDS)' ] || { { $(with_compose) logs --tail 20 web; } >&2; \
  echo 'make: the site does not answer within $(UP_SECONDS) s, see its log above' >&2; exit 1; }; sleep 1; done

$(SECRETS):
	@mkdir -p $(dir $(SECRETS))
	@umask 077; random() { od -An -N32 -tx1 /dev/urandom | tr -d ' \n'; }; \
	  printf 'SECRET_KEY=%s\nPOSTGRES_PASSWORD=%s\n' "$$(random)" "$$(random)" >'$@'

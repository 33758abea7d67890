# docker.mk: build and ship the image, see docs/image.md. It needs only ve.mk. It works with the classic builder
# or BuildKit, and with a remote engine (DOCKER_HOST), as it mounts nothing from this folder.

include ve.mk

.DEFAULT_GOAL := $(or $(.DEFAULT_GOAL),help-by-default)

REVISION      ?= $(eval REVISION := $$(shell $$(git_revision)))$(REVISION)
DOCKER        ?= docker
COMPOSE       ?=
BASE          ?= debian:trixie-slim
PLATFORM      ?=
TEST_DATABASE ?= sqlite
BUILD_ARGS    ?=
WHEEL_ARGS    ?=
ALLOW_DIRTY   ?=
UP_SECONDS    ?= 60
SECRETS       ?= var/compose.env

git_revision = echo "$$(git rev-parse HEAD 2>/dev/null || echo unknown)$$($(git_dirty))"

## Build and ship
.PHONY: wheelhouse build push up down services services-down

wheelhouse: FORCE ## make a wheel of each pin, so that a build needs no network
	@$(call with,$(of_image) WHEEL_ARGS REQUIREMENTS REQUIREMENTS_DEV EXPORT EXPORT_DEV) $(slipway) image wheelhouse

build: $(if $(wildcard manage.py),wheelhouse) ## build the image, and run the tests in it (TAG=…, TEST_DATABASE=postgres)
	@$(call with,$(of_image) TAG REVISION TEST_DATABASE TESTS DRIFT_ALLOWED) $(slipway) image build

push: FORCE ## push the image to its registry (IMAGE=registry.example/shop; ALLOW_DIRTY=1: with uncommitted changes)
	@$(call with,DOCKER IMAGE TAG APP ALLOW_DIRTY ENV DEPLOY_FOLDER) $(slipway) image push

up: build ## run the image with Postgres, Redis, worker and beat, at http://localhost:8000
down: FORCE ## stop what make up started; keeps its data
up down:
	@$(call with,DOCKER COMPOSE APP IMAGE TAG PORT SECRETS UP_SECONDS) $(slipway) image $@

services: $(REQUIREMENTS) FORCE ## start Postgres and Redis for development, and name them in .env
services-down: FORCE ## stop them, and restore .env; keeps their data
services services-down:
	@$(call with,DOCKER COMPOSE APP REQUIREMENTS) $(slipway) services $@

of_image = DOCKER IMAGE BASE PLATFORM PROJECT BUILD_ARGS

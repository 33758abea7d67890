# The project's own settings. Its rules are in the included files; yours go here or, kept out of git, in local.mk.

APP   ?= slipway
# With a registry: registry.example/$(APP)
IMAGE ?= $(APP)
PORT  ?= 8000

.DEFAULT_GOAL := test

include django.mk docker.mk deploy.mk update.mk
-include make/template.mk local.mk

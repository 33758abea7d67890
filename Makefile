# The project's variables. The rules are in the included files. Add your own here, or in local.mk, which git ignores.

APP   ?= slipway
# If you have a registry, put it before the name: registry.example/$(APP)
IMAGE ?= $(APP)
PORT  ?= 8000

.DEFAULT_GOAL := test

include django.mk docker.mk deploy.mk
-include tests/template.mk local.mk

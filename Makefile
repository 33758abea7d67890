# The project's variables. The rules are in the included files. Add your own here, or in local.mk, which git ignores.
# deploy/production.toml has the names of the app and of its image.

PORT ?= 8000

.DEFAULT_GOAL := test

include django.mk docker.mk deploy.mk
-include tests/template.mk local.mk

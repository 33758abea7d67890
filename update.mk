# update.mk: keep a project up to date with the template that it was made from. docs/update.md tells how.
#
# Works alone, in any order with other .mk files. Keeps to GNU Make 3.81 and POSIX tools.

include make/ve.mk

REQUIREMENTS_COPIER ?= requirements/copier.txt
COPIER              ?= $(VE)/copier/bin/copier
VERSION             ?=
ARGS                ?=

## Keep up
.PHONY: template-update template-diff

template-update: $(VE)/copier/sentinel ## merge what the template has new (VERSION=1.2.0; else its newest release)
	@exec $(call quote,$(PYTHON)) make/make_update.py update '$(COPIER)' '$(VERSION)'

template-diff: ## how the template's own files differ here from its version (ARGS="--stat")
	@$(has_python); exec $(call quote,$(PYTHON)) make/make_update.py diff $(ARGS)

# A virtualenv of its own within the other, so that neither's packages bind the other's.
$(VE)/copier/sentinel: $(VE)/sentinel FORCE
	@$(MAKE) --no-print-directory -s VE='$(VE)/copier' REQUIREMENTS='$(REQUIREMENTS_COPIER)' INSTALLER='$(its_uv)' '$@'

its_uv = $(if $(filter uv,$(INSTALLER)),$(or $(wildcard $(VE)/bin/uv),uv),$(INSTALLER))

# ve.mk: pins, the virtualenv, and what all .mk files share. They include it; only the first include counts.
# A sentinel, such as ve/sentinel, is a file that depends on pins and is written last: while it is newer than they are,
# they are installed. All .mk files need GNU Make 3.81 and POSIX tools.

ifndef with
ve_goal := $(.DEFAULT_GOAL)

# A value of the command line or the environment is text, in which make expands nothing. Cloud tools set a PROJECT.
$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(eval override $(name) := $$(value $(name)))))
$(foreach name,$(filter-out PROJECT,$(.VARIABLES)),$(if $(filter environment,$(origin $(name))),\
        $(eval $(name) := $$(value $(name)))))

PYTHON           ?= python3
PYTHON_MIN       ?= $(or $(shell $(requires_python)),3.11)
VE               ?= ve
REQUIREMENTS     ?= requirements.txt
REQUIREMENTS_DEV ?= requirements/dev.txt
REQUIREMENTS_UV  ?= $(call pins,uv)
EXPORT           ?= --no-dev
EXPORT_DEV       ?= --only-dev
INSTALLER        ?= uv
PIP_ARGS         ?=
ENV              ?= production
DEPLOY_FOLDER    ?= deploy
given_names      := $(foreach name,APP IMAGE,$(if $(filter undefined,$(origin $(name))),,$(name)))
APP              ?= $(eval APP := $$(or $$(shell $$(call of_servers,app)),app))$(APP)
IMAGE            ?= $(eval IMAGE := $$(or $$(shell $$(call of_servers,image)),$$(APP)))$(IMAGE)
PORT             ?= 8000
ARGS             ?=
TESTS            ?= manage.py test
DRIFT_ALLOWED    ?=
SLIPWAY          ?= $(or $(wildcard vendor/slipway_django-*.whl),.)

requires_python = sed -n 's/^requires-python *= *">= *\([0-9.]*\).*/\1/p' pyproject.toml 2>/dev/null

# app or image, as the file of the servers names it.
of_servers = sed -n 's/^$(1) *= *"\([^"]*\)".*/\1/p' $(call quoted,DEPLOY_FOLDER)/$(call quoted,ENV).toml \
             deploy/production.toml 2>/dev/null | sed 1q

# The package of the settings, as manage.py names it: in main("…"), or as DJANGO_SETTINGS_MODULE.
ifneq ($(filter undefined environment,$(origin PROJECT)),)
PROJECT = $(eval PROJECT := $$(or $$(shell $$(find_project)),project))$(PROJECT)
endif
find_project = sed -n -e "s/^ *main([\"']\([A-Za-z0-9_]*\)[\"']).*/\1/p" \
          -e "s/.*DJANGO_SETTINGS_MODULE[\"'], *[\"']\([A-Za-z0-9_]*\).*/\1/p" manage.py 2>/dev/null

# The release's name. It ends with -dirty if changes are not committed: nobody could build that release again.
TAG ?= $(eval TAG := $$(shell $$(git_tag)))$(TAG)
git_dirty = test -z "$$(git status --porcelain 2>&1)" || printf %s -dirty
git_tag = test ! -e .git || git rev-parse --git-dir >/dev/null; \
          echo "$$(git rev-parse --short HEAD 2>/dev/null || echo unversioned)$$($(git_dirty))"

# $(call quoted,NAME): the variable's value as one word of a shell, whatever it holds. $(call with,NAMES): the variables
# that a command finds in its environment. So `make -n TARGET` prints a line that a person can run.
quoted = '$(subst ','\'',$(if $(findstring $(newline),$($(1))),$(error make: $(1) must be one line))$($(1)))'
with = $(foreach name,$(1),$(name)=$(call quoted,$(name)))
export VE PYTHON
define newline


endef

# Pins of tools, such as uv, come with the package. A file of the project's own replaces them.
pins = $(firstword $(wildcard requirements/$(1).txt slipway/requirements/$(1).txt) var/pins/$(1).txt)

# Paths that stand in rules and commands as they are.
special = $(strip $(word 2,$(1)) $(foreach char,; : ' " ` \ \# % | & < > ( ) * ? $$,$(findstring $(char),$(1))))
one_path = $(foreach name,$(1),$(if $(call special,$($(name))),$(error make: $(name) must be one path, without special characters)))
$(call one_path,VE REQUIREMENTS REQUIREMENTS_DEV)

# The command line of the package, from the wheel in vendor/ or from the source.
slipway = $(strip $(if $(call special,$(SLIPWAY)),$(error make: SLIPWAY is $(SLIPWAY): keep the one of $(REQUIREMENTS))) \
          $(if $(wildcard $(SLIPWAY)/slipway/make $(filter %.whl,$(SLIPWAY))),,$(error $(no_slipway))) \
          $(if $(shell command -v '$(PYTHON)'),,$(error $(no_python))) \
          PYTHONPATH=$(SLIPWAY):$$PYTHONPATH $(exec) $(call quoted,PYTHON) -B -m slipway)
# What ends make's child, such as a cancelled job, is for the command. `make -n` prints no exec, which would end a shell.
exec = $(if $(findstring n,$(firstword -$(MAKEFLAGS))),,exec)
no_slipway = make: no slipway here, neither vendor/slipway_django-*.whl nor its source: take it from git's history, or see docs/make.md
no_python = make: no $(PYTHON) here: install Python $(PYTHON_MIN) or newer, or run make PYTHON=…

# Not a matter of time: another PYTHON, a copied or moved folder, a python that was removed.
MADE_FOR = $(if $(filter /%,$(VE)),,$(CURDIR)/)$(VE) $(PYTHON)
ifneq ($(shell test -x $(VE)/bin/python && cat $(VE)/made-for 2>/dev/null),$(MADE_FOR))
$(VE)/sentinel: FORCE
endif
of_uv = PYTHON_MIN INSTALLER PIP_ARGS REQUIREMENTS_UV MADE_FOR
install = @$(call with,$(of_uv)) $(slipway) virtualenv $@ $(1)

# With uv.lock, both files of pins are made from it, again if it or pyproject.toml differs from what they were made of:
# after a clone, times say nothing. Without uv.lock, they are the team's own, and the second may be missing.
locked   = $(wildcard uv.lock)
pins_dev = $(if $(locked),$(REQUIREMENTS_DEV),$(wildcard $(REQUIREMENTS_DEV)))
of_pins  = $(of_uv) REQUIREMENTS REQUIREMENTS_DEV EXPORT EXPORT_DEV
as_made  = test -e $(REQUIREMENTS) && test -e $(REQUIREMENTS_DEV) && \
           cat pyproject.toml uv.lock | cmp -s - var/pins/made-from && echo yes

ifneq ($(locked),)
$(REQUIREMENTS) $(REQUIREMENTS_DEV): $(if $(shell $(as_made)),,FORCE)
	@$(call with,$(of_pins)) $(slipway) requirements export
else
$(REQUIREMENTS):
	@echo 'make: no $@ here, and no uv.lock: see "Pins" in docs/make.md' >&2; exit 1
endif

$(VE)/sentinel: $(REQUIREMENTS)
	$(call install,$(REQUIREMENTS))

$(VE)/sentinel-dev: $(VE)/sentinel $(pins_dev)
	$(call install,$(REQUIREMENTS) $(pins_dev))

# Rules of the Makefile may name programs of the virtualenv.
$(VE)/bin/%: $(VE)/sentinel-dev
	@test -x $@ || { echo 'make: no $@ here: add its package, see "Pins" in docs/make.md' >&2; \
	  exit 1; }

var/pins/%.txt: $(wildcard vendor/slipway_django-*.whl)
	@$(slipway) packaged requirements/$(@F) $@

.PHONY: FORCE help
FORCE:

# This file's list comes first, as django.mk's continues it; the Makefile's comes last.
## Develop
help: ## show this list
	@awk 'seen[FILENAME, FNR]++ { next } /^## / { print "\n" substr($$0, 4) ":" } \
	  /^[a-z][a-z0-9-]*:.*## / { split($$0, part, /:.*## /); printf "  %-15s %s\n", part[1], part[2] }' \
	  ve.mk $(wildcard $(filter django.mk,$(MAKEFILE_LIST)) $(filter-out Makefile,$(MAKEFILE_LIST)) $(filter Makefile,$(MAKEFILE_LIST)))

# The default goal of .mk files other than django.mk, whose default goal is test. The Makefile's own one precedes both.
help-by-default: help

# Goals given together, such as `make -j4 build push`, are made in their order, also those of the Makefile.
.NOTPARALLEL:

# `make` without a target must not make a target of this file: restore the default goal.
.DEFAULT_GOAL := $(ve_goal)

endif

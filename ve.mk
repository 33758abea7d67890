# ve.mk: the virtualenv. The other .mk files include it; only the first include counts.
# A sentinel is a file, such as ve/sentinel, that an install writes last. It names the virtualenv's python, folder and
# pins; while these stay the same, the virtualenv is up to date. All .mk files need GNU Make 3.81 and POSIX tools.

ifndef make_ve
ve_goal := $(.DEFAULT_GOAL)

PYTHON              ?= python3
PYTHON_MIN          ?= 3.11
VE                  ?= ve
REQUIREMENTS        ?= requirements.txt
REQUIREMENTS_DEV    ?= requirements/dev.txt
REQUIREMENTS_UV     ?= requirements/uv.txt
INSTALLER           ?= uv
PIP_ARGS            ?=
REQUIREMENTS_DEPLOY ?= requirements/deploy.txt
APP                 ?= app
IMAGE               ?= $(APP)
ARGS                ?=
PORT                ?= 8000
TESTS               ?= manage.py test
DRIFT_ALLOWED       ?=
SLIPWAY             ?= $(or $(wildcard vendor/slipway_django-*.whl),.)

# The package of the settings, as manage.py names it: in main("…"), or as DJANGO_SETTINGS_MODULE.
# A PROJECT in the environment does not count: cloud tools set one.
ifneq ($(filter undefined environment,$(origin PROJECT)),)
PROJECT = $(eval PROJECT := $$(or $$(shell $$(find_project)),project))$(PROJECT)
endif
find_project = sed -n -e "s/^ *main([\"']\([A-Za-z0-9_]*\)[\"']).*/\1/p" \
          -e "s/.*DJANGO_SETTINGS_MODULE[\"'], *[\"']\([A-Za-z0-9_]*\).*/\1/p" manage.py 2>/dev/null

# The release's name. It ends with -dirty if changes are not committed: nobody could build that release again.
TAG ?= $(eval TAG := $$(shell $$(git_tag)))$(TAG)
git_dirty = test -z "$$(git status --porcelain 2>&1)" || printf %s -dirty
git_tag = echo "$$(git rev-parse --short HEAD 2>/dev/null || echo unversioned)$$($(git_dirty))"

export VE
# The package slipway has the same number, and refuses .mk files with another number. See slipway/make/__main__.py.
export SLIPWAY_RULES = 1

# $(call helper,NAME): the command of a Python helper, from the wheel in vendor/ or the source in slipway/.
helper = $(if $(word 2,$(SLIPWAY)),$(error make: $(SLIPWAY): keep the one that $(REQUIREMENTS) names, remove the other))$(if \
         $(wildcard $(SLIPWAY)/slipway/make $(filter %.whl,$(SLIPWAY))),,$(error $(no_slipway)))$(call quote,$(PYTHON)) '$(SLIPWAY)/slipway/make' $(1)
no_slipway = make: no slipway here, neither vendor/slipway_django-*.whl nor its source: take it from git's history, or see docs/make.md

quote = '$(subst ','\'',$(1))'

# Values from the command line or environment may be anything, such as a branch's name. make refuses a value that could
# end a recipe's quotes or call a make function. Values in `plain` may have no special characters, those in `words` only
# inside quotes. Variables in neither list name a program, or recipes quote them.
plain = ALLOW_DIRTY APP ASSETS BASE CELERY_APP COMPOSE COPIER DEPLOY_FOLDER DOCKER DOCKERFILES DRIFT_ALLOWED ENV FLEETS \
        FLEET_BASE FLEET_HOSTS HOST IMAGE INSTALLER KEEP MORE_PINS NAME PAGE PLATFORM PORT PROCFILE PROJECT \
        PYTHON_MIN REQUIREMENTS REQUIREMENTS_COPIER REQUIREMENTS_DEPLOY REQUIREMENTS_DEV REQUIREMENTS_UV REVISION \
        SECRETS SHELL_FILES SLIPWAY TAG TEST_DATABASE TO UP_SECONDS VE VERSION VE_AUDIT
words = ARGS AUDIT_ARGS BUILD_ARGS COMPILE PYTEST_ARGS TESTS WHEEL_ARGS
define newline


endef
has = $(strip $(foreach char,$(2),$(findstring $(char),$(1))) $(if $(findstring $(newline),$(1)),newline))
is_plain = $(if $(call has,$(value $(1)),' " ` \ ; & | < > $$),,yes)
quoted_well = ([^'"\;&|<>()`\#]|'[^']*'|"([^"\`]|\\.)*"|\\.)*
is_words = $(if $(call has,$(value $(1)),$$),,$(shell \
        printf '%s\n' $(call quote,$(value $(1))) | LC_ALL=C grep -Ex $(call quote,$(quoted_well)) >/dev/null && echo yes))
given = $(if $(value $(1)),$(filter command environment,$(origin $(1))))
refused = $$(error make: $(1) holds a character that make or a shell acts upon: remove it, or see docs/make.md)
refuse = $(eval $(if $(filter command override,$(origin $(1))),override )$(1) = $(refused))$(eval unexport $(1))
$(foreach kind,plain words,$(foreach name,$($(kind)),\
        $(if $(call given,$(name)),$(if $(call is_$(kind),$(name)),,$(call refuse,$(name))))))

make_ve = PYTHON=$(call quote,$(PYTHON)) PYTHON_MIN='$(PYTHON_MIN)' INSTALLER='$(INSTALLER)' \
          PIP_ARGS=$(call quote,$(PIP_ARGS)) REQUIREMENTS_UV='$(REQUIREMENTS_UV)' \
          $(call helper,virtualenv)
wanted = { printf '%s\n' $(call quote,$(PYTHON)) && (CDPATH= cd '$(VE)' && pwd -P) && cat $(1); } 2>/dev/null
holds = test -x '$(VE)/bin/python' && $(wanted) | cmp -s - '$@'
no_python = { printf 'make: no %s here: install Python %s or newer, or run make PYTHON=…\n' \
          $(call quote,$(PYTHON)) '$(PYTHON_MIN)' >&2; exit 1; }
has_python = command -v $(call quote,$(PYTHON)) >/dev/null || $(no_python)$(if $(filter %.whl,$(SLIPWAY)),; $(is_whole))
is_whole = $(call quote,$(PYTHON)) -S -c 'from zipimport import *; zipimporter("$(SLIPWAY)")' 2>/dev/null || { \
          echo 'make: $(SLIPWAY) is damaged, perhaps by git'\''s line ends: write it again, see docs/update.md' >&2; exit 1; }
install = @$(holds) || { $(has_python); $(make_ve) '$@' $(1); }

$(VE)/sentinel: FORCE
	$(call install,$(REQUIREMENTS))

$(VE)/sentinel-dev: FORCE
	$(call install,$(REQUIREMENTS) $(wildcard $(REQUIREMENTS_DEV)))

$(VE)/sentinel-deploy: FORCE
	$(call install,$(REQUIREMENTS) $(REQUIREMENTS_DEPLOY))

.PHONY: FORCE
FORCE:

# `make` without a target must not make a target of this file: restore the default goal.
.DEFAULT_GOAL := $(ve_goal)

endif
